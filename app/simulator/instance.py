"""The instance: tables as dicts of raw records, with defaults, rules and switches."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from app.simulator import base
from app.simulator.auth import Accounts
from app.simulator.base import sys_id_of
from app.simulator.faults import Faults
from app.simulator.rules import Rules
from app.simulator.store import Record, Store


class Instance(Store):
    """Behaves like one ServiceNow site. Every switch is an attribute with a stock default."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self.faults = Faults()
        self.transports: dict[Any, Any] = {}
        # Calls that are being served, those whose client is long gone included.
        self.under_way = 0
        self.reset()

    def reset(self) -> None:
        """A clean instance: base users, groups and choices, no incidents, no faults."""
        with self._lock:
            self.faults.clear()
            self.empty()
            self._later: list[tuple[float, Callable[[], object]]] = []
            self.accounts = Accounts()
            self.rules = Rules()
            self.most_under_way = 0
            self.requests: deque[dict[str, Any]] = deque(maxlen=10_000)
            # Switches: what differs between instances.
            self.invalid_query_regime = "drop"
            self.honour_client_sys_id = "accept"
            self.journal_readable = True
            # A closed journal shows no rows; most instances count them all the same.
            self.journal_counted = False
            # Closed to integrations, as by default: the rows are counted and not shown.
            self.audit_readable = False
            # A rule that updates the record once more after each update, as this user.
            self.rule_updates_as = ""
            self.closed_tables: set[str] = {"sys_dictionary", "sys_properties"}
            self.hidden_rows: set[str] = set()
            # Records that may be read and not written.
            self.locked_rows: set[str] = set()
            self.hidden_fields: dict[str, frozenset[str]] = {}
            self.date_format = "%Y-%m-%d %H:%M:%S"
            # How literal times in queries are read: "utc", or in the zone of the "user".
            self.literal_times = "utc"
            self.clock_skew_seconds = 0.0
            self.sends_date = True
            self.rate_limit: int | None = None
            self.rate_window_seconds = 3600
            self.semaphores: int | None = None
            self.latency_seconds = 0.0
            # A list of more rows outlasts its quota and is cancelled.
            self.largest_page: int | None = None
            self.empty_answer_for_shared_session = False
            self.effects_after_seconds: float | None = None
            self._fill_base()

    def _fill_base(self) -> None:
        for name in base.GROUPS:
            self.add_group(name=name)
        for name, user_name in base.PEOPLE:
            self.add_user(name=name, user_name=user_name, email=f"{user_name}@example.com")
        self.add_user(name="Copilot Integration", user_name=self.accounts.user, email="")
        for element, pairs in base.CHOICES.items():
            self._add_choices(element, pairs)
        self.use_close_codes(base.CLOSE_CODES)

    def moment(self) -> datetime:
        return super().moment() + timedelta(seconds=self.clock_skew_seconds)

    def use_close_codes(self, codes: tuple[str, ...]) -> None:
        """Replace the resolution codes, for instance by the legacy set."""
        rows = self._tables["sys_choice"]
        for key in [k for k, row in rows.items() if row["element"] == "close_code"]:
            del rows[key]
        self._add_choices("close_code", {code: code for code in codes})

    def add_choice(self, element: str, value: str, label: str) -> None:
        """One choice more of an incident field."""
        self._add_choices(element, {value: label})

    def _add_choices(self, element: str, pairs: dict[str, str]) -> None:
        for position, (value, label) in enumerate(pairs.items()):
            sys_id = sys_id_of("sys_choice", element, value)
            self._tables["sys_choice"][sys_id] = {
                "sys_id": sys_id,
                "name": "incident",
                "element": element,
                "value": value,
                "label": label,
                "language": "en",
                "inactive": "false",
                "sequence": str(position),
            }

    # -- for tests and the demo ---------------------------------------------------------------

    @property
    def incidents(self) -> dict[str, Record]:
        """The raw incidents by sys_id, late writes that are due included."""
        self.apply_due()
        return self._tables["incident"]

    def add_user(self, *, name: str, email: str, user_name: str = "", **fields: str) -> Record:
        user_name = user_name or email.split("@")[0]
        row = {
            "sys_id": sys_id_of("sys_user", user_name),
            "name": name,
            "user_name": user_name,
            "email": email,
            "active": "true",
            "time_zone": "UTC",
            "locked_out": "false",
        }
        row |= {key: _raw(value) for key, value in fields.items()}
        self._tables["sys_user"][row["sys_id"]] = row
        return row

    def add_group(self, *, name: str, **fields: str) -> Record:
        row = {
            "sys_id": sys_id_of("sys_user_group", name),
            "name": name,
            "active": "true",
            "manager": "",
            "email": "",
        }
        row |= {key: _raw(value) for key, value in fields.items()}
        self._tables["sys_user_group"][row["sys_id"]] = row
        return row

    def add_incident(self, **fields: str) -> Record:
        """An incident as it is, past all rules; defaults fill what is not given."""
        user = self.user_named("abel.tuter") or {}
        record = self._new_incident(user)
        impact, urgency = fields.get("impact", "3"), fields.get("urgency", "3")
        record["priority"] = base.PRIORITY.get((impact, urgency), "5")
        record |= {key: _raw(value) for key, value in fields.items()}
        record["incident_state"] = record["state"]
        with self._lock:
            self._insert(record)
        return record

    # -- what the endpoints ask for -------------------------------------------------------------

    def apply_due(self) -> None:
        """Writes and side effects whose time has come."""
        with self._lock:
            due = [entry for entry in self._later if entry[0] <= self._monotonic()]
            self._later = [entry for entry in self._later if entry not in due]
            for _, effect in due:
                effect()

    def do_later(self, seconds: float, effect: Callable[[], object]) -> None:
        with self._lock:
            self._later.append((self._monotonic() + seconds, effect))

    def insert(self, body: dict[str, Any], *, caller: Record) -> Record:
        """A POST. Raises Refused for a data policy, a rule or a sys_id that is taken."""
        with self._lock:
            record = self._new_incident(caller)
            sys_id = _raw(body.get("sys_id", ""))
            if sys_id and self.honour_client_sys_id == "accept":
                record["sys_id"] = sys_id
            self.rules.apply(self, record, body, None)
            if record["sys_id"] in self._tables["incident"]:
                raise self.rules.duplicate(record["number"])
            self._insert(record)
            self._write_journals(record, body, caller)
            if self.effects_after_seconds is not None:
                self.do_later(self.effects_after_seconds, lambda: self._effects(record))
            return record

    def update(self, record: Record, body: dict[str, Any], *, caller: Record) -> Record:
        """A PATCH or PUT: a partial update; nothing changed means no new stamp."""
        with self._lock:
            after = dict(record)
            self.rules.apply(self, after, body, record)
            noted = self._write_journals(record, body, caller)
            if after != record or noted:
                after["sys_mod_count"] = str(int(record["sys_mod_count"]) + 1)
                after["sys_updated_on"] = self.now()
                after["sys_updated_by"] = caller.get("user_name", "system")
                self.revision += 1
                self._audit(record, after)
                record.update(after)
                if self.rule_updates_as:
                    self._update_by_rule(record)
            return record

    def _update_by_rule(self, record: Record) -> None:
        count = str(int(record["sys_mod_count"]) + 1)
        record |= {"sys_updated_by": self.rule_updates_as, "sys_mod_count": count}
        self.revision += 1

    def edit(self, sys_id: str, *, by: str = "beth.anglin", **fields: str) -> Record:
        """Somebody there changes an incident, through the rules."""
        caller = self.user_named(by) or {"user_name": by, "sys_id": ""}
        return self.update(self.incidents[sys_id], fields, caller=caller)

    def delete(self, sys_id: str) -> None:
        with self._lock:
            self.revision += 1
            del self._tables["incident"][sys_id]
            self._sorted_ids.remove(sys_id)

    def _new_incident(self, caller: Record) -> Record:
        self._number += 1
        now, user_name = self.now(), caller.get("user_name", "system")
        return base.INCIDENT_DEFAULTS | {
            "sys_id": secrets.token_hex(16),
            "number": f"INC{self._number:07d}",
            "opened_at": now,
            "opened_by": caller.get("sys_id", ""),
            "sys_created_on": now,
            "sys_created_by": user_name,
            "sys_updated_on": now,
            "sys_updated_by": user_name,
            "sys_mod_count": "0",
        }

    def _write_journals(self, record: Record, body: dict[str, Any], caller: Record) -> bool:
        noted = False
        for element in base.JOURNALS:
            text = _raw(body.get(element, ""))
            if text:
                by = caller.get("user_name", "system")
                self.add_journal_entry(record["sys_id"], element, text, by=by)
                noted = True
        return noted

    def _effects(self, record: Record) -> None:
        """What flows and assignment rules do moments after an insert."""
        group = record["assignment_group"] or sys_id_of("sys_user_group", "Service Desk")
        record |= {
            "assignment_group": group,
            "sys_updated_by": "system",
            "sys_updated_on": self.now(),
            "sys_mod_count": str(int(record["sys_mod_count"]) + 1),
        }


def _raw(value: object) -> str:
    """Any JSON value as the instance stores it: a string."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
