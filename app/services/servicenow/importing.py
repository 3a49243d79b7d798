"""What becomes of a pulled row: mirrored, imported, refreshed, left alone or skipped.

A dry run takes the same way and leaves out the writing, so its counts are those of the import.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as DbConnection

from app.db import incidents, links, outbox, tickets
from app.integrations import servicenow_mapping as mapping
from app.models import Incident, Outcome, PulledRow, SyncRun, Ticket, label_of
from app.services.servicenow.reconciling import reconcile, write

Record = Mapping[str, str]
NO_CALLER = "Caller has no e-mail that we may read: the ticket has no requester"


@dataclass(slots=True)
class Tally:
    """What became of the rows of one page; `reasons` counts why."""

    rows: list[PulledRow] = field(default_factory=list)
    counts: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(
        self, record: Record, outcome: Outcome, *, reason: str = "", ticket_id: int | None = None
    ) -> None:
        self.counts[outcome] += 1
        if reason:
            self.reasons[reason] += 1
        sys_id, number = record["sys_id"], record.get("number", "")
        self.rows.append(PulledRow(sys_id, number, outcome, reason, ticket_id))


@dataclass(frozen=True, slots=True)
class Page:
    """One page on its way into the database. `writes` is false in a dry run."""

    conn: DbConnection
    host: str
    now: datetime
    tally: Tally
    maps: mapping.Maps
    writes: bool

    def store(self, run: SyncRun, found: list[tuple[Incident, Record]]) -> None:
        """The rows into the mirror, and as tickets when the run imports."""
        before = incidents.known(self.conn, [incident.sys_id for incident, _ in found])
        if self.writes:
            incidents.store(self.conn, [incident for incident, _ in found], now=self.now)
        for incident, record in found:
            if run.import_tickets:
                self._import(incident, record)
            elif incident.sys_id not in before:
                self.tally.add(record, Outcome.CREATED)
            else:
                same = before[incident.sys_id] == incident
                self.tally.add(record, Outcome.UNCHANGED if same else Outcome.UPDATED)

    def _import(self, incident: Incident, record: Record) -> None:
        theirs = mapping.ticket_values(record, self.maps)
        ticket_id = links.ticket_of(self.conn, incident.sys_id)
        if theirs.get("status") is None:
            reason = f"State {incident.state or 'empty'} has no status here"
            self.tally.add(record, Outcome.SKIPPED, reason=reason)
        elif ticket_id is not None:
            ticket = tickets.get(self.conn, ticket_id, for_update=self.writes)
            self._refresh(ticket, record)
        elif outbox.find_by_correlation(self.conn, incident.correlation_id):
            reason = "Created from a ticket here; its push is still being confirmed"
            self.tally.add(record, Outcome.SKIPPED, reason=reason)
        else:
            self._create(incident, record, theirs)

    def _create(self, incident: Incident, record: Record, theirs: dict[str, str | None]) -> None:
        ticket_id = None
        if self.writes:
            ticket_id = links.import_ticket(
                self.conn,
                incident,
                host=self.host,
                theirs=theirs,
                seen=mapping.seen_of(record),
                now=self.now,
            )
        reason = "" if incident.caller_email else NO_CALLER
        self.tally.add(record, Outcome.CREATED, reason=reason, ticket_id=ticket_id)

    def _refresh(self, ticket: Ticket, record: Record) -> None:
        found = reconcile(ticket, record, maps=self.maps, pulling=True, now=self.now)
        if self.writes:
            write(self.conn, ticket, found, now=self.now)
        if found.verdict.conflicts:
            names = ", ".join(label_of(name) for name in found.verdict.conflicts)
            reason = f"Changed on both sides: {names}"
            self.tally.add(record, Outcome.SKIPPED, reason=reason, ticket_id=ticket.id)
        else:
            outcome = Outcome.UPDATED if found.verdict.take else Outcome.UNCHANGED
            self.tally.add(record, outcome, ticket_id=ticket.id)
