"""Import one page of incidents: cache, create tickets, update tickets, or skip.

A dry run takes the same path without writing, so its counts equal those of the import.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection as DbConnection
from sqlalchemy import Dialect

from app.db import change_cursor, imported_tickets, incidents, tickets
from app.db.imported_tickets import NewTicket
from app.errors import ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.characters import is_blank
from app.models.conflicts import Values
from app.models.servicenow import Incident
from app.models.sync_runs import Outcome, PulledRow, SyncRun
from app.models.tickets import Ticket, label_of
from app.services.servicenow.merge.reconcile import Reconciled, reconcile, write_all

Record = Mapping[str, str]
NO_CALLER = "The incident has no caller, so the ticket has no requester"
UNKNOWN_CALLER = "The caller's e-mail is not readable, so the ticket has no requester"
NO_SUBJECT = "The short description is empty, so the incident's {} is the subject"
OUR_OWN = "The incident is being created from a ticket of this installation"


class Row(NamedTuple):
    """One record of a page with its parsed values."""

    record: Record
    incident: Incident
    theirs: Values
    new: NewTicket | None
    """The ticket to create if the run imports and no ticket is linked."""


class RowResult(NamedTuple):
    """The result of one row: a new ticket, changes to its ticket, or neither."""

    row: Row
    outcome: Outcome
    reason: str = ""
    new: NewTicket | None = None
    ticket: Ticket | None = None
    found: Reconciled | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The row results of one page, with counts by outcome and by reason."""

    rows: tuple[PulledRow, ...]
    counts: Counter[Outcome]
    reasons: Counter[str]

    @classmethod
    def of(cls, rows: Sequence[PulledRow]) -> "RowCounts":
        return cls(
            rows=tuple(rows),
            counts=Counter(row.outcome for row in rows),
            reasons=Counter(row.reason for row in rows if row.reason),
        )


class ImportPage:
    """The rows of one page, parsed before the transaction that stores them."""

    def __init__(
        self,
        records: Sequence[Record],
        maps: mapping.Maps,
        dialect: Dialect,
        *,
        importing: bool,
    ) -> None:
        self._maps = maps
        self._unreadable: list[PulledRow] = []
        read: list[tuple[Record, Incident, Values]] = []
        for record in records:
            try:
                incident = mapping.incident_from_record(record)
            except ServiceNowRejected as exc:
                number = record.get("number", "")
                row = PulledRow(record["sys_id"], number, Outcome.FAILED, exc.message, None)
                self._unreadable.append(row)
            else:
                read.append((record, incident, mapping.ticket_values(record, maps)))
        self._mirrored = incidents.prepared(dialect, [incident for _, incident, _ in read])
        new: Sequence[NewTicket | None] = [None] * len(read)
        if importing:
            states = [(one, theirs, mapping.seen_of(record)) for record, one, theirs in read]
            new = imported_tickets.prepared(dialect, states)
        self._rows = [Row(*one, ticket) for one, ticket in zip(read, new, strict=True)]

    def __len__(self) -> int:
        return len(self._rows) + len(self._unreadable)

    @property
    def records(self) -> list[Record]:
        return [row.record for row in self._rows]

    def store(self, conn: DbConnection, run: SyncRun, *, host: str, now: datetime) -> RowCounts:
        """Cache the rows, and create or update tickets if the run imports. A dry run only counts.

        Raises IntegrityError if one of the incidents was linked meanwhile.
        """
        results = self._results(conn, run, host, now)
        made: Mapping[str, int] = {}
        if not run.dry_run:
            incidents.store_many(conn, self._mirrored, now=now)
            made = imported_tickets.add(
                conn, [one.new for one in results if one.new], host=host, now=now
            )
            merged = [(one.ticket, one.found) for one in results if one.ticket and one.found]
            write_all(conn, merged, now=now)
            if any(found.late for _, found in merged):
                # Late responses or incidents that went back: the next full check tells which.
                change_cursor.sweep_again(conn, host)
                change_cursor.ask(conn, host, now=now)
        return RowCounts.of([*self._unreadable, *(_pulled_row(one, made) for one in results)])

    def _results(
        self, conn: DbConnection, run: SyncRun, host: str, now: datetime
    ) -> list[RowResult]:
        sys_ids = [row.incident.sys_id for row in self._rows]
        if not run.import_tickets:
            before = incidents.known(conn, sys_ids)
            return [_mirrored(row, before) for row in self._rows]
        # First: a create that is over by then has linked its ticket.
        keys = (row.incident.correlation_id for row in self._rows)
        pushing = imported_tickets.being_created(conn, keys)
        linked = tickets.linked(conn, sys_ids, for_update=not run.dry_run)
        return [
            self._linked(row, linked[row.incident.sys_id], host, now)
            if row.incident.sys_id in linked
            else _imported(row, pushing)
            for row in self._rows
        ]

    def _linked(self, row: Row, ticket: Ticket, host: str, now: datetime) -> RowResult:
        if ticket.sn_host != host:
            reason = f"Its ticket is linked to {ticket.sn_host}"
            return RowResult(row, Outcome.SKIPPED, reason, ticket=ticket)
        return self._merged(row, ticket, now)

    def _merged(self, row: Row, ticket: Ticket, now: datetime) -> RowResult:
        """Copy fields that changed only in ServiceNow. The others become conflicts."""
        found = reconcile(ticket, row.record, maps=self._maps, pulling=True, now=now)
        reason = ""
        if found.verdict.conflicts:
            names = ", ".join(label_of(name) for name in found.verdict.conflicts)
            reason = f"Changed on both sides: {names}"
        elif row.theirs.get("status") is None:
            reason = _unknown_state(row)
        outcome = Outcome.UPDATED if found.verdict.take else Outcome.UNCHANGED
        if reason and not found.verdict.take:
            outcome = Outcome.SKIPPED
        return RowResult(row, outcome, reason, ticket=ticket, found=found)


def _pulled_row(result: RowResult, made: Mapping[str, int]) -> PulledRow:
    incident = result.row.incident
    ticket_id = result.ticket.id if result.ticket else made.get(incident.sys_id)
    return PulledRow(incident.sys_id, incident.number, result.outcome, result.reason, ticket_id)


def _mirrored(row: Row, before: Mapping[str, Incident]) -> RowResult:
    incident = row.incident
    if incident.sys_id not in before:
        return RowResult(row, Outcome.CREATED)
    same = before[incident.sys_id] == incident
    return RowResult(row, Outcome.UNCHANGED if same else Outcome.UPDATED)


def _imported(row: Row, pushing: set[str]) -> RowResult:
    incident = row.incident
    if row.theirs.get("status") is None:
        return RowResult(row, Outcome.SKIPPED, _unknown_state(row))
    if incident.correlation_id in pushing:
        return RowResult(row, Outcome.SKIPPED, OUR_OWN)
    reasons = []
    if is_blank(incident.short_description):
        taken = "number" if row.theirs.get("subject") == incident.number else "description"
        reasons.append(NO_SUBJECT.format(taken))
    if not incident.caller_email:
        reasons.append(UNKNOWN_CALLER if incident.caller else NO_CALLER)
    return RowResult(row, Outcome.CREATED, "; ".join(reasons), new=row.new)


def _unknown_state(row: Row) -> str:
    return f"State {row.incident.state or '(empty)'} is not mapped to a status"
