"""What becomes of a pulled row: mirrored, imported, refreshed, left alone or skipped."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as DbConnection

from app.db import incidents, links, outbox, tickets
from app.integrations import servicenow_mapping as mapping
from app.models import Incident, SyncRun, Ticket

Record = Mapping[str, str]


@dataclass(slots=True)
class Tally:
    """What became of the rows of one page."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def skip(self, reason: str) -> None:
        self.skipped += 1
        self.reasons[reason] += 1

    def fail(self, reason: str) -> None:
        self.failed += 1
        self.reasons[reason] += 1


def store(
    conn: DbConnection,
    run: SyncRun,
    found: list[tuple[Incident, Record]],
    tally: Tally,
    *,
    host: str,
    now: datetime,
) -> None:
    """The rows of one page into the mirror, and as tickets when the run imports."""
    before = incidents.known(conn, [incident.sys_id for incident, _ in found])
    incidents.store(conn, [incident for incident, _ in found], now=now)
    if run.import_tickets:
        for incident, record in found:
            _import(conn, incident, record, tally, host=host, now=now)
        return
    for incident, _ in found:
        if incident.sys_id not in before:
            tally.created += 1
        elif before[incident.sys_id] == incident:
            tally.unchanged += 1
        else:
            tally.updated += 1


def _import(
    conn: DbConnection,
    incident: Incident,
    record: Record,
    tally: Tally,
    *,
    host: str,
    now: datetime,
) -> None:
    """One incident as a ticket: created, refreshed, left alone or skipped with a reason."""
    theirs = mapping.ticket_values(record)
    if theirs["status"] is None:
        tally.skip(f"State {incident.state or 'empty'} has no status here")
        return
    ticket_id = links.ticket_of(conn, incident.sys_id)
    if ticket_id is not None:
        ticket = tickets.get(conn, ticket_id, for_update=True)
        _refresh(conn, ticket, theirs, tally, now=now)
    elif outbox.find_by_correlation(conn, incident.correlation_id):
        tally.skip("Created from a ticket here; its push is still being confirmed")
    else:
        links.import_ticket(conn, incident, host=host, theirs=theirs, now=now)
        tally.created += 1


def _refresh(
    conn: DbConnection,
    ticket: Ticket,
    theirs: dict[str, str | None],
    tally: Tally,
    *,
    now: datetime,
) -> None:
    before = ticket.sn_agreed.get("theirs", {})
    changed = [name for name in links.FIELDS if theirs[name] != before.get(name)]
    ours = links.values_of(ticket)
    agreed = ticket.sn_agreed.get("ours", {})
    if not changed:
        tally.unchanged += 1
    elif any(ours[name] != agreed.get(name) for name in links.FIELDS):
        tally.skip("Changed here since both sides agreed")
    else:
        links.refresh(conn, ticket, theirs=theirs, names=changed, now=now)
        tally.updated += 1
