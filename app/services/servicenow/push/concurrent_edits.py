"""Detect changes made to an incident between the read and the write of an update.

The Table API has no conditional writes. The update count in the response shows that something else
changed the incident, and the audit, where it is readable, shows what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.db import incidents
from app.db.engine import writing
from app.errors import ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.conflicts import RESOLUTION, SYNCED, Values
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context

Record = Mapping[str, str]
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class ConcurrentEdit:
    """A concurrent change of an incident. `record` is read after it.

    `overwritten` has a conflict entry for each field in which a user's value was overwritten.
    `unknown` are the written fields if the overwritten ones cannot be determined. `by` is the user
    who made the change, if known.
    """

    record: Record
    overwritten: Mapping[str, Values] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    by: str = ""

    def told(self, number: str | None) -> str:
        """The warning for agents; empty if there is none."""
        if not self.unknown:
            return ""
        names = ", ".join(mapping.LABEL_OF_FIELD[name] for name in self.unknown)
        return (
            f"{self.by or 'A user or a business rule'} changed {number} in ServiceNow while this "
            f"ticket was being sent. A change to one of these fields was overwritten: {names}. "
            f"Check the history of {number} in ServiceNow."
        )


class ConcurrentEdits:
    """Looks for concurrent changes after a write. Raises nothing, because the write succeeded."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups

    def after(
        self, before: Record, answer: Record, written: Mapping[str, str]
    ) -> ConcurrentEdit | None:
        """The concurrent change between the read of `before` and the `answer`, if any."""
        moved = _moved(before, answer)
        fields = [name for name in mapping.LABEL_OF_FIELD if name in written]
        if moved < 1 or not fields:
            return None
        if moved == 1:
            self._is_usual(fields, moved)
            return None
        record, rows = self._read(before, answer, fields)
        if any(row.get("newvalue") == written[row["fieldname"]] for row in rows):
            return ConcurrentEdit(record, self._overwritten(before, record, rows, written))
        by_rule = answer.get("sys_updated_by") == SYSTEM
        if moved == 1 + by_rule or self._is_usual(fields, moved):
            return ConcurrentEdit(record)
        later = record.get("sys_updated_by", "")
        by = later if later not in (answer.get("sys_updated_by"), SYSTEM) else ""
        return ConcurrentEdit(record, unknown=tuple(fields), by=by)

    def _read(
        self, before: Record, answer: Record, fields: Sequence[str]
    ) -> tuple[Record, Sequence[Record]]:
        """The current incident and the audit rows of these fields (none without access)."""
        client = self._context.connected_client()
        sys_id, record = before["sys_id"], answer
        try:
            record = client.get_incident(sys_id, fields=mapping.FIELDS)
            since = before.get("sys_updated_on", "")
            return record, client.audit(sys_id, fields, since=since)
        except ServiceNowError:
            return record, ()

    def _is_usual(self, fields: Sequence[str], moved: int) -> bool:
        """Whether writes of these fields usually raise the update count so much."""
        with writing(self._context.engine) as conn:
            return incidents.is_usual_step(conn, self._context.host, fields, moved)

    def _overwritten(
        self, before: Record, now: Record, rows: Sequence[Record], written: Mapping[str, str]
    ) -> dict[str, Values]:
        lost: dict[str, Record] = {}
        for name in mapping.LABEL_OF_FIELD:
            ours = [row for row in rows if row["fieldname"] == name]
            if row := _overwritten_by_us(ours, before.get(name, ""), written.get(name)):
                lost[name] = row
        theirs = self._values(now, {name: row["newvalue"] for name, row in lost.items()})
        resolution = {name: theirs[name] for name in RESOLUTION if name in theirs}
        read = mapping.ticket_values(before, self._lookups.maps())
        return {
            one: {
                "theirs": theirs[one],
                "by": lost[mapping.FIELD_OF[one]].get("user", ""),
                "at": lost[mapping.FIELD_OF[one]].get("sys_created_on", ""),
                "overwritten": read.get(one),
                **(resolution if one == "status" else {}),
            }
            for one in SYNCED
            if mapping.FIELD_OF[one] in lost and one in theirs
        }

    def _values(self, now: Record, lost: Mapping[str, str]) -> Values:
        """The ticket values of the incident as it would be without the write."""
        record = {**now, **lost}
        if assignee := lost.get("assigned_to"):
            try:
                user = self._context.connected_client().user(assignee)
            except ServiceNowRejected:
                user = {}
            record |= {f"assigned_to.{part}": user.get(part, "") for part in ("name", "email")}
        elif "assigned_to" in lost:
            record["assigned_to.email"] = record["assigned_to.name"] = ""
        return mapping.ticket_values(record, self._lookups.maps())


def read_of(record: Record, written: Mapping[str, str]) -> Record:
    """The fields of a record to keep before a write, in case the response is lost."""
    names = {"sys_id", "sys_mod_count", "sys_updated_on", *written}
    if names & {"close_code", "close_notes"}:
        names.add("state")
    return {name: record[name] for name in sorted(names) if name in record}


def written_since(read: Record, record: Record) -> Record:
    """Changed fields of the record since the read before a write whose response was lost."""
    return {
        name: record[name]
        for name in mapping.LABEL_OF_FIELD
        if name in read and record.get(name, read[name]) != read[name]
    }


def _moved(before: Record, after: Record) -> int:
    """The number of updates; 0 if the count is hidden."""
    first, last = before.get("sys_mod_count", ""), after.get("sys_mod_count", "")
    return int(last) - int(first) if first.isdigit() and last.isdigit() else 0


def _overwritten_by_us(rows: Sequence[Record], read: str, written: str | None) -> Record | None:
    """The audit row of the user whose value the write replaced; None if there is no such user.

    Changes by business rules do not count as changes by a user.
    """
    ours = next((row for row in reversed(rows) if row.get("newvalue") == written), None)
    if ours is None or ours.get("oldvalue", "") == read:
        return None
    lost = ours.get("oldvalue", "")
    row = next((row for row in reversed(rows) if row.get("newvalue", "") == lost), None)
    return None if row is None or row.get("user") in (SYSTEM, ours.get("user")) else row
