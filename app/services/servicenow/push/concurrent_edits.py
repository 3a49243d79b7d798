"""People who changed an incident between our read and our write of it.

The Table API has no condition on writes: the count of updates in the answer tells that something
else happened, and the audit, where it can be read, what that was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.db import incidents
from app.db.engine import writing
from app.errors import ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping as mapping
from app.models.conflicts import RESOLUTION, SYNCED, Values
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Setup

Record = Mapping[str, str]
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Overlap:
    """What else happened to an incident while we wrote to it; `record` is read after that.

    `overwritten` has the entry of a conflict for each field in which a person's value was
    overwritten. `unknown` are the fields that we wrote where nothing tells whether one was; `by`
    is who changed the incident then, where that is known.
    """

    record: Record
    overwritten: Mapping[str, Values] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    by: str = ""

    def told(self, number: str | None) -> str:
        """The warning for people; empty when there is nothing to warn of."""
        if not self.unknown:
            return ""
        names = ", ".join(mapping.LABEL_OF_FIELD[name] for name in self.unknown)
        return (
            f"{self.by or 'A user or a business rule'} changed {number} in ServiceNow while this "
            f"ticket was being sent. A change to one of these fields was overwritten: {names}. "
            f"Check the history of {number} in ServiceNow."
        )


class Overlaps:
    """Looks for them after a write. Nothing is raised: the write itself went well."""

    def __init__(self, setup: Setup, lookups: Lookups) -> None:
        self._setup = setup
        self._lookups = lookups

    def after(self, before: Record, answer: Record, written: Mapping[str, str]) -> Overlap | None:
        """What else happened since `before` was read, given the `answer` to the write."""
        moved = _moved(before, answer)
        fields = [name for name in mapping.LABEL_OF_FIELD if name in written]
        if moved < 1 or not fields:
            return None
        if moved == 1:
            self._is_usual(fields, moved)
            return None
        record, rows = self._read(before, answer, fields)
        if any(row.get("newvalue") == written[row["fieldname"]] for row in rows):
            return Overlap(record, self._overwritten(before, record, rows, written))
        by_rule = answer.get("sys_updated_by") == SYSTEM
        if moved == 1 + by_rule or self._is_usual(fields, moved):
            return Overlap(record)
        later = record.get("sys_updated_by", "")
        by = later if later not in (answer.get("sys_updated_by"), SYSTEM) else ""
        return Overlap(record, unknown=tuple(fields), by=by)

    def _read(
        self, before: Record, answer: Record, fields: Sequence[str]
    ) -> tuple[Record, Sequence[Record]]:
        """The incident as it is now, and the audit of these fields; no rows where it is closed."""
        client = self._setup.connected_client()
        sys_id, record = before["sys_id"], answer
        try:
            record = client.get_incident(sys_id, fields=mapping.FIELDS)
            since = before.get("sys_updated_on", "")
            return record, client.audit(sys_id, fields, since=since)
        except ServiceNowError:
            return record, ()

    def _is_usual(self, fields: Sequence[str], moved: int) -> bool:
        """Whether writes of these fields move the count so far by themselves, as rules can."""
        with writing(self._setup.engine) as conn:
            return incidents.is_usual_step(conn, self._setup.host, fields, moved)

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
        """The incident as it would be without our write, in our words."""
        record = {**now, **lost}
        if assignee := lost.get("assigned_to"):
            try:
                user = self._setup.connected_client().user(assignee)
            except ServiceNowRejected:
                user = {}
            record |= {f"assigned_to.{part}": user.get(part, "") for part in ("name", "email")}
        elif "assigned_to" in lost:
            record["assigned_to.email"] = record["assigned_to.name"] = ""
        return mapping.ticket_values(record, self._lookups.maps())


def read_of(record: Record, written: Mapping[str, str]) -> Record:
    """What to keep of a record that is about to be written, should the answer be lost."""
    names = {"sys_id", "sys_mod_count", "sys_updated_on", *written}
    if names & {"close_code", "close_notes"}:
        names.add("state")
    return {name: record[name] for name in sorted(names) if name in record}


def written_since(read: Record, record: Record) -> Record:
    """Fields of a write whose answer was lost, as the record shows them now."""
    return {
        name: record[name]
        for name in mapping.LABEL_OF_FIELD
        if name in read and record.get(name, read[name]) != read[name]
    }


def _moved(before: Record, after: Record) -> int:
    """How many updates there were; 0 where the count is hidden from us."""
    first, last = before.get("sys_mod_count", ""), after.get("sys_mod_count", "")
    return int(last) - int(first) if first.isdigit() and last.isdigit() else 0


def _overwritten_by_us(rows: Sequence[Record], read: str, written: str | None) -> Record | None:
    """The row of the person whose value our write replaced; None when it was what we had read.

    What a rule did, by itself or with our own writes, is no change of a person.
    """
    ours = next((row for row in reversed(rows) if row.get("newvalue") == written), None)
    if ours is None or ours.get("oldvalue", "") == read:
        return None
    lost = ours.get("oldvalue", "")
    row = next((row for row in reversed(rows) if row.get("newvalue", "") == lost), None)
    return None if row is None or row.get("user") in (SYSTEM, ours.get("user")) else row
