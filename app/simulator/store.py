"""What an instance holds: tables of raw records, journals, and how fields are found."""

import secrets
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from app.simulator import base
from app.simulator.base import sys_id_of

Record = dict[str, str]
# Pairs of an operator (>, >=, <, <=) and a sys_id.
Bounds = Iterable[tuple[str, str]]
NUMBER_OFFSET = 10_000
TABLES = (
    "incident",
    "sys_user",
    "sys_user_group",
    "sys_choice",
    "sys_journal_field",
    "sys_audit",
    "problem",
)
AUDIT_FIELDS = (
    "sys_id",
    "tablename",
    "documentkey",
    "fieldname",
    "oldvalue",
    "newvalue",
    "user",
    "record_checkpoint",
    "sys_created_on",
    "sys_created_by",
)


class Store:
    """Tables as dicts by sys_id; incidents also in sys_id order. `revision` counts changes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.empty()

    def empty(self) -> None:
        self._tables: dict[str, dict[str, Record]] = {name: {} for name in TABLES}
        self._sorted_ids: list[str] = []
        self._journals: dict[str, list[Record]] = {}
        self._number = NUMBER_OFFSET
        self.revision = 0

    def table(self, name: str) -> dict[str, Record]:
        return self._tables[name]

    def journal(self, sys_id: str) -> list[Record]:
        """The journal rows of one record, oldest first."""
        return list(self._journals.get(sys_id, ()))

    def moment(self) -> datetime:
        """What the instance's clock shows."""
        return datetime.now(UTC)

    def now(self) -> str:
        return self.moment().strftime("%Y-%m-%d %H:%M:%S")

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
        if table == "sys_audit":
            return first in AUDIT_FIELDS
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
            if name in record:
                return record[name]
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

    def sorted_ids(self, bounds: Bounds) -> list[str]:
        """Incident sys_ids that keep to every bound, in order, from a sorted index."""
        first, end = 0, len(self._sorted_ids)
        for operator, value in bounds:
            find = bisect_right if operator in (">", "<=") else bisect_left
            at = find(self._sorted_ids, value.casefold(), key=str.casefold)
            if operator.startswith(">"):
                first = max(first, at)
            else:
                end = min(end, at)
        return self._sorted_ids[first:end]

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

    def _audit(self, before: Record, after: Record) -> None:
        """One row for each field that an update changed, with who changed it from what."""
        for name, value in after.items():
            if before[name] == value or name.startswith("sys_"):
                continue
            row = {
                "sys_id": secrets.token_hex(16),
                "tablename": "incident",
                "documentkey": after["sys_id"],
                "fieldname": name,
                "oldvalue": before[name],
                "newvalue": value,
                "user": after["sys_updated_by"],
                "record_checkpoint": after["sys_mod_count"],
                "sys_created_on": after["sys_updated_on"],
                "sys_created_by": after["sys_updated_by"],
            }
            self._tables["sys_audit"][row["sys_id"]] = row

    def _insert(self, record: Record) -> None:
        self.revision += 1
        self._tables["incident"][record["sys_id"]] = record
        insort(self._sorted_ids, record["sys_id"], key=str.casefold)

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
            kept = {name: dict(rows) for name, rows in state["tables"].items()}
            self._tables = {name: {} for name in TABLES} | kept
            self._number = int(state["number"])
            self._sorted_ids = sorted(self._tables["incident"], key=str.casefold)
            self._journals = {}
            for row in self._tables["sys_journal_field"].values():
                self._journals.setdefault(row["element_id"], []).append(row)
