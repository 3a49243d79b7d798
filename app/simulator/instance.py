"""The instance: tables as dicts of raw records, with defaults, rules and switches."""

import secrets
import threading
import time
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from app.simulator import base
from app.simulator.auth import Accounts
from app.simulator.base import sys_id_of
from app.simulator.faults import Faults
from app.simulator.rules import Rules

Record = dict[str, str]
TABLES = ("incident", "sys_user", "sys_user_group", "sys_choice", "sys_journal_field", "problem")
NUMBER_OFFSET = 10_000


class Instance:
    """Behaves like one ServiceNow site. Every switch is an attribute with a stock default."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.faults = Faults()
        self.transports: dict[Any, Any] = {}
        self.reset()

    def reset(self) -> None:
        """A clean instance: base users, groups and choices, no incidents, no faults."""
        with self._lock:
            self.faults.clear()
            self._tables: dict[str, dict[str, Record]] = {name: {} for name in TABLES}
            self._sorted_ids: list[str] = []
            self._journals: dict[str, list[Record]] = {}
            self._later: list[tuple[float, Callable[[], object]]] = []
            self._number = NUMBER_OFFSET
            self.revision = 0
            self.accounts = Accounts()
            self.rules = Rules()
            self.requests: deque[dict[str, Any]] = deque(maxlen=10_000)
            self.properties: dict[str, str] = {"glide.buildname": "Australia"}
            # Switches: what differs between instances.
            self.invalid_query_regime = "drop"
            self.honour_client_sys_id = "accept"
            self.journal_readable = True
            self.closed_tables: set[str] = {"sys_dictionary", "sys_properties"}
            self.hidden_rows: set[str] = set()
            self.hidden_fields: dict[str, frozenset[str]] = {}
            self.date_format = "%Y-%m-%d %H:%M:%S"
            self.rate_limit: int | None = None
            self.rate_window_seconds = 3600
            self.semaphores: int | None = None
            self.latency_seconds = 0.0
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

    def use_close_codes(self, codes: tuple[str, ...]) -> None:
        """Replace the resolution codes, for instance by the legacy set."""
        rows = self._tables["sys_choice"]
        for key in [k for k, row in rows.items() if row["element"] == "close_code"]:
            del rows[key]
        self._add_choices("close_code", {code: code for code in codes})

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

    def table(self, name: str) -> dict[str, Record]:
        return self._tables[name]

    def journal(self, sys_id: str) -> list[Record]:
        """The journal rows of one record, oldest first."""
        return list(self._journals.get(sys_id, ()))

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

    def add_journal_entry(
        self, sys_id: str, element: str, value: str, *, by: str, at: str = ""
    ) -> None:
        """One comment or work note, `at` a raw stamp."""
        row = {
            "sys_id": secrets.token_hex(16),
            "name": "incident",
            "element": element,
            "element_id": sys_id,
            "value": value,
            "sys_created_on": at or self.now(),
            "sys_created_by": by,
        }
        with self._lock:
            self._journals.setdefault(sys_id, []).append(row)
            self._tables["sys_journal_field"][row["sys_id"]] = row

    def saved(self) -> dict[str, Any]:
        """Everything the instance holds, as JSON values; switches and faults are left out."""
        with self._lock:
            return {
                "tables": {name: dict(rows) for name, rows in self._tables.items()},
                "number": self._number,
            }

    def restore(self, state: dict[str, Any]) -> None:
        """Hold what `saved` answered."""
        with self._lock:
            self._tables = {name: dict(rows) for name, rows in state["tables"].items()}
            self._number = int(state["number"])
            self._sorted_ids = sorted(self._tables["incident"])
            self._journals = {}
            for row in self._tables["sys_journal_field"].values():
                self._journals.setdefault(row["element_id"], []).append(row)

    def set_property(self, name: str, value: str) -> None:
        self.properties[name] = value

    # -- what the door asks for -----------------------------------------------------------------

    def now(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")

    def user_named(self, user_name: str) -> Record | None:
        rows = self._tables["sys_user"].values()
        return next((row for row in rows if row["user_name"] == user_name), None)

    def choice_label(self, table: str, element: str, value: str) -> str:
        if table != "incident":
            return value
        row = self._tables["sys_choice"].get(sys_id_of("sys_choice", element, value))
        return row["label"] if row else value

    def knows_field(self, table: str, name: str) -> bool:
        first, *rest = name.split(".")
        if rest:
            target = base.REFERENCES.get(first)
            return target is not None and self.knows_field(target, ".".join(rest))
        if table in ("incident", "problem"):
            audit = ("sys_id", "number", "sys_created_on", "sys_created_by", "sys_updated_on")
            return first in base.INCIDENT_DEFAULTS or first in (
                *audit,
                "sys_updated_by",
                "sys_mod_count",
            )
        return any(first in row for row in list(self._tables[table].values())[:1])

    def walk(self, table: str, record: Record, name: str) -> tuple[str, Record, str] | None:
        """Follow a dot-walk: the table, record and field it ends at; None for an unknown name."""
        first, _, rest = name.partition(".")
        if not rest:
            return (table, record, first) if first in record else None
        target = base.REFERENCES.get(first)
        if target is None or not self.knows_field(target, rest):
            return None
        row = self._tables[target].get(record.get(first, ""), {})
        return self.walk(target, row, rest) or (target, {}, rest.rpartition(".")[2])

    def lookup(self, table: str) -> Callable[[Record, str], str | None]:
        """How a query reads a field of this table; `name@display` is what people read."""

        def look(record: Record, name: str) -> str | None:
            plain, _, display = name.partition("@")
            found = self.walk(table, record, plain)
            if found is None:
                return None
            _, row, last = found
            target = base.REFERENCES.get(last) if display else None
            if target:
                return self._tables[target].get(row.get(last, ""), {}).get("name")
            return row.get(last)

        return look

    def ids_after(self, last: str) -> list[str]:
        """Incident sys_ids greater than `last`, in order, from a sorted index."""
        return self._sorted_ids[bisect_right(self._sorted_ids, last) :]

    def apply_due(self) -> None:
        """Writes and side effects whose time has come."""
        with self._lock:
            due = [entry for entry in self._later if entry[0] <= time.monotonic()]
            self._later = [entry for entry in self._later if entry not in due]
            for _, effect in due:
                effect()

    def do_later(self, seconds: float, effect: Callable[[], object]) -> None:
        with self._lock:
            self._later.append((time.monotonic() + seconds, effect))

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
            record.update(after)
            return record

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

    def _insert(self, record: Record) -> None:
        self.revision += 1
        self._tables["incident"][record["sys_id"]] = record
        insort(self._sorted_ids, record["sys_id"])

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
