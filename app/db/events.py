"""The timeline of a ticket."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from app.db import bulk, keys
from app.db.tables import ticket_events
from app.models import NOTES, EventKind, JournalEntry, NotePush, TicketEvent

NAMES = tuple(name for name in TicketEvent.__dataclass_fields__ if name != "hidden")


def _event(row: RowMapping) -> TicketEvent:
    values: dict[str, Any] = {name: row[name] for name in NAMES}
    values["kind"] = EventKind(row["kind"])
    values["push"] = NotePush(row["push"]) if row["push"] else None
    values["fields"] = tuple(row["fields"] or ())
    return TicketEvent(**values)


def add(
    conn: Connection,
    ticket_id: int,
    kind: EventKind,
    body: str,
    *,
    author: str | None,
    internal: bool,
    now: datetime,
    push: NotePush | None = None,
    fields: Iterable[str] = (),
) -> TicketEvent:
    """Write one entry; `fields` are the names of those that it changed."""
    row = conn.execute(
        ticket_events.insert()
        .values(
            ticket_id=ticket_id,
            kind=kind,
            body=body,
            author=author,
            internal=internal,
            created_at=now,
            push=push,
            fields=list(fields) or None,
            sn_mark=keys.draw() if kind in NOTES else None,
        )
        .returning(ticket_events)
    )
    return _event(row.mappings().one())


def tell(
    conn: Connection,
    ticket_id: int,
    text: str,
    *,
    by: str | None = None,
    now: datetime,
    fields: Iterable[str] = (),
) -> None:
    """What happened between a ticket and ServiceNow, for agents."""
    kind = EventKind.SERVICENOW
    add(conn, ticket_id, kind, text, author=by, internal=True, now=now, fields=fields)


def tell_all(
    conn: Connection,
    told: Sequence[tuple[int, str]],
    *,
    kind: EventKind = EventKind.SERVICENOW,
    now: datetime,
) -> None:
    """Entries for agents without an author, of many tickets: their ids and the texts, in order."""
    same = {
        "kind": kind.value,
        "author": None,
        "internal": True,
        "created_at": now,
    }
    bulk.insert(conn, ticket_events, ("ticket_id", "body"), told, same=same)


def get(conn: Connection, event_id: int) -> TicketEvent:
    query = select(ticket_events).where(ticket_events.c.id == event_id)
    return _event(conn.execute(query).mappings().one())


def of_ids(conn: Connection, event_ids: Iterable[int]) -> dict[int, TicketEvent]:
    """The entries with these ids, by id."""
    query = select(ticket_events).where(ticket_events.c.id.in_(tuple(event_ids)))
    found = (_event(row) for row in conn.execute(query).mappings())
    return {event.id: event for event in found}


def rewrite(conn: Connection, event_id: int, body: str) -> None:
    """Another text for a note that was not sent yet."""
    conn.execute(update(ticket_events).where(ticket_events.c.id == event_id).values(body=body))


def of_ticket(conn: Connection, ticket_id: int, *, internal: bool) -> tuple[TicketEvent, ...]:
    """The whole timeline, oldest first; internal entries only when asked for."""
    query = select(ticket_events).where(ticket_events.c.ticket_id == ticket_id)
    if not internal:
        query = query.where(ticket_events.c.internal.is_(False))
    rows = conn.execute(query.order_by(ticket_events.c.created_at, ticket_events.c.id))
    return tuple(_event(row) for row in rows.mappings())


def unsent_notes(conn: Connection, ticket_id: int) -> tuple[TicketEvent, ...]:
    """Notes that ServiceNow does not have and may have, oldest first."""
    query = select(ticket_events).where(
        ticket_events.c.ticket_id == ticket_id,
        ticket_events.c.kind.in_(NOTES),
        ticket_events.c.pushed_at.is_(None),
        ticket_events.c.push != NotePush.NEVER,
    )
    rows = conn.execute(query.order_by(ticket_events.c.id)).mappings()
    return tuple(_event(row) for row in rows)


def find_note(
    conn: Connection, ticket_id: int, kind: EventKind, *, author: str, body: str, since: datetime
) -> TicketEvent | None:
    """The note that this author wrote with this very text since then."""
    query = select(ticket_events).where(
        ticket_events.c.ticket_id == ticket_id,
        ticket_events.c.kind == kind,
        ticket_events.c.author == author,
        ticket_events.c.body == body,
        ticket_events.c.created_at >= since,
    )
    row = conn.execute(query).mappings().first()
    return _event(row) if row else None


def known_journal_ids(conn: Connection, ticket_ids: Iterable[int]) -> set[tuple[int, str]]:
    """(ticket id, journal id) of the rows of a journal that are in these timelines."""
    query = select(ticket_events.c.ticket_id, ticket_events.c.sn_journal_id).where(
        ticket_events.c.ticket_id.in_(list(ticket_ids)),
        ticket_events.c.sn_journal_id.is_not(None),
    )
    return {(row[0], row[1]) for row in conn.execute(query)}


def add_journal_entry(
    conn: Connection,
    ticket_id: int,
    entry: JournalEntry,
    *,
    kind: EventKind,
    internal: bool,
    journal_id: str,
    now: datetime,
) -> None:
    """What somebody wrote in ServiceNow, with their name and time."""
    conn.execute(
        ticket_events.insert().values(
            ticket_id=ticket_id,
            kind=kind,
            author=entry.author or "ServiceNow",
            body=entry.body,
            internal=internal,
            created_at=entry.created_at or now,
            pushed_at=now,
            sn_journal_id=journal_id,
        )
    )


def recognise(
    conn: Connection, ticket_id: int, marks: Sequence[str], *, journal_id: str, now: datetime
) -> bool:
    """A note of ours came back; False when the ticket has no note with one of these marks."""
    pushed_at = func.coalesce(ticket_events.c.pushed_at, now)
    row = conn.execute(
        update(ticket_events)
        .where(ticket_events.c.ticket_id == ticket_id, ticket_events.c.sn_mark.in_(marks))
        .values(sn_journal_id=journal_id, pushed_at=pushed_at)
    )
    return row.rowcount == 1


def keep_here(conn: Connection, event_id: int) -> None:
    """This note is not to be sent any more."""
    conn.execute(
        update(ticket_events).where(ticket_events.c.id == event_id).values(push=NotePush.NEVER)
    )


def mark_pushed(conn: Connection, event_id: int, *, now: datetime) -> None:
    conn.execute(update(ticket_events).where(ticket_events.c.id == event_id).values(pushed_at=now))
