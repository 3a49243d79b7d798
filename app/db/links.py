"""Links of tickets and incidents: the `sn_*` columns, and the outbox items they cause."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from app.db import create_keys, events, outbox
from app.db.tables import installation, tickets
from app.db.tickets import ticket_of_row
from app.models.conflicts import SYNCED, Values
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState
from app.models.tickets import NotePush, SyncStatus, Ticket, TicketEvent


def installation_id(conn: Connection) -> str:
    """The UUID that the first migration gave this installation."""
    return str(conn.execute(select(installation.c.id)).scalar_one())


def values_of(ticket: Ticket) -> dict[str, str | None]:
    """The fields of a ticket that ServiceNow has too."""
    return {name: getattr(ticket, name) for name in SYNCED}


def ticket_of(conn: Connection, sys_id: str, *, host: str | None = None) -> int | None:
    """The id of the ticket that is linked to this incident, of this host if one is given."""
    query = select(tickets.c.id).where(tickets.c.sn_sys_id == sys_id)
    if host is not None:
        query = query.where(tickets.c.sn_host == host)
    return conn.execute(query).scalar_one_or_none()


def tickets_of(conn: Connection, host: str, sys_ids: Sequence[str]) -> dict[str, int]:
    """The ids of the tickets that are linked to these incidents of a host, by sys_id."""
    query = select(tickets.c.sn_sys_id, tickets.c.id).where(
        tickets.c.sn_sys_id.in_(sys_ids), tickets.c.sn_host == host
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def newest_linked(conn: Connection, host: str) -> str | None:
    """The sys_id of the incident on this host that was in step last."""
    query = select(tickets.c.sn_sys_id).where(
        tickets.c.sn_sys_id.is_not(None), tickets.c.sn_host == host
    )
    newest = query.order_by(tickets.c.sn_last_sync_at.desc(), tickets.c.id.desc()).limit(1)
    return conn.execute(newest).scalar_one_or_none()


def link(  # noqa: PLR0913 The columns of a link.
    conn: Connection,
    ticket_id: int,
    *,
    sys_id: str,
    number: str,
    host: str,
    ours: Values,
    theirs: Values,
    seen: Values,
    group_name: str = "",
    now: datetime,
) -> Ticket:
    """Tie the ticket to its incident, whose group becomes the ticket's if that has none.

    Returns the linked ticket. Raises IntegrityError when another ticket has the incident.
    """
    group = theirs.get("assignment_group")
    given = {}
    if group and not ours.get("assignment_group"):
        given = {"assignment_group": group, "assignment_group_name": group_name or None}
        ours = {**ours, "assignment_group": group}
    row = conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket_id)
        .values(
            **given,
            sn_sys_id=sys_id,
            sn_number=number,
            sn_host=host,
            sn_last_sync_at=now,
            sn_sync_status=SyncStatus.OK,
            sn_last_error=None,
            sn_agreed={"ours": dict(ours), "theirs": dict(theirs), "seen": dict(seen)},
            sn_conflicts=None,
            sn_conflict_since=None,
        )
        .returning(tickets)
    )
    return ticket_of_row(row.mappings().one())


def unlink(conn: Connection, ticket: Ticket, *, now: datetime) -> None:
    """Undo the tie; the next create is a new generation with a new key, so a new incident."""
    renew_key(conn, ticket, now=now)
    conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket.id)
        .values(
            sn_sys_id=None,
            sn_number=None,
            sn_host=None,
            sn_last_sync_at=None,
            sn_sync_status=None,
            sn_last_error=None,
            sn_agreed=None,
            sn_missing_since=None,
            sn_notice=None,
            sn_conflicts=None,
            sn_conflict_since=None,
            sn_generation=ticket.sn_generation + 1,
        )
    )


def renew_key(conn: Connection, ticket: Ticket, *, now: datetime) -> str:
    """Draw the key of the ticket's next create; the one before is spent."""
    create_keys.spend(conn, [ticket.sn_key] if ticket.sn_key else [], now=now)
    key = create_keys.draw()
    conn.execute(update(tickets).where(tickets.c.id == ticket.id).values(sn_key=key))
    return key


def confirm(conn: Connection, ticket_id: int, *, now: datetime) -> None:
    """A write arrived."""
    conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket_id)
        .values(sn_last_sync_at=now, sn_sync_status=SyncStatus.OK, sn_last_error=None)
    )


def note_failure(conn: Connection, ticket_id: int, error: str) -> None:
    """The last attempt did not succeed, even if it will be tried again."""
    conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket_id)
        .values(sn_sync_status=SyncStatus.FAILED, sn_last_error=error)
    )


def enqueue_update(
    conn: Connection, ticket: Ticket, *, host: str, by: str, now: datetime
) -> OutboxItem:
    """Enqueue an update of the ticket's own fields; an item that is not claimed yet is joined."""
    waiting = outbox.find_update(conn, ticket.id)
    if waiting is not None:
        if waiting.state is OutboxState.BLOCKED:
            outbox.revive(conn, waiting.id, now=now, solved=True, close_code=None)
        else:
            outbox.renew(conn, waiting.id, now=now)
        return waiting
    return outbox.add(
        conn,
        ticket_id=ticket.id,
        generation=ticket.sn_generation,
        kind=OutboxKind.UPDATE,
        host=host,
        created_by=by,
        now=now,
    )


def enqueue_waiting_notes(conn: Connection, ticket: Ticket, *, host: str, now: datetime) -> None:
    """The ticket was linked: queue the notes that were marked for sending before."""
    for note in events.unsent_notes(conn, ticket.id):
        if note.push is NotePush.NOW:
            enqueue_note(conn, ticket, note, host=host, by=note.author or "", now=now)


def enqueue_note(
    conn: Connection, ticket: Ticket, note: TicketEvent, *, host: str, by: str, now: datetime
) -> OutboxItem:
    """Enqueue one note, once; again if it was discarded with an earlier link."""
    known = outbox.find_note(conn, note.id)
    if known is not None and known.state is OutboxState.DISCARDED:
        return outbox.requeue(
            conn, known, generation=ticket.sn_generation, host=host, by=by, now=now
        )
    return known or outbox.add(
        conn,
        ticket_id=ticket.id,
        generation=ticket.sn_generation,
        kind=OutboxKind.NOTE,
        event_id=note.id,
        host=host,
        created_by=by,
        now=now,
    )
