"""The timeline of a ticket."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, func, select, update

from app.db import bulk, create_keys
from app.db.tables import ticket_events
from app.models.servicenow import JournalEntry
from app.models.tickets import NOTES, EventKind, NotePush, TicketChange, TicketEvent

NAMES = tuple(name for name in TicketEvent.__dataclass_fields__ if name != "hidden")


class NewEntry(NamedTuple):
    """An entry without an author, to be written with many others."""

    ticket_id: int
    body: str
    changes: Sequence[TicketChange] = ()


def _event(row: RowMapping) -> TicketEvent:
    values: dict[str, Any] = {name: row[name] for name in NAMES}
    values["kind"] = EventKind(row["kind"])
    values["push"] = NotePush(row["push"]) if row["push"] else None
    values["changes"] = tuple(TicketChange(**change) for change in row["changes"] or ())
    return TicketEvent(**values)


def add(  # noqa: PLR0913 The columns of an entry.
    conn: Connection,
    ticket_id: int,
    kind: EventKind,
    body: str,
    *,
    author: str | None,
    internal: bool,
    now: datetime,
    push: NotePush | None = None,
    changes: Sequence[TicketChange] = (),
) -> TicketEvent:
    """Write one entry; its `body` may be empty where `changes` say everything."""
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
            changes=_stored(changes),
            sn_mark=create_keys.draw() if kind in NOTES else None,
        )
        .returning(ticket_events)
    )
    return _event(row.mappings().one())


def add_event(
    conn: Connection,
    ticket_id: int,
    text: str,
    *,
    by: str | None = None,
    now: datetime,
    changes: Sequence[TicketChange] = (),
) -> None:
    """What happened between a ticket and ServiceNow, for agents."""
    kind = EventKind.SERVICENOW
    add(conn, ticket_id, kind, text, author=by, internal=True, now=now, changes=changes)


def add_events(
    conn: Connection,
    entries: Sequence[NewEntry],
    *,
    kind: EventKind = EventKind.SERVICENOW,
    now: datetime,
) -> None:
    """Write entries for agents, of many tickets."""
    same = {
        "kind": kind.value,
        "author": None,
        "internal": True,
        "created_at": now,
    }
    names = ("ticket_id", "body", "changes")
    rows = [(one.ticket_id, one.body, _stored(one.changes)) for one in entries]
    rows = bulk.prepared(conn.dialect, ticket_events, names, rows)
    bulk.insert(conn, ticket_events, names, rows, same=same)


def _stored(changes: Sequence[TicketChange]) -> list[dict[str, str | None]] | None:
    return [asdict(change) for change in changes] or None


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


def last_change(conn: Connection, ticket_id: int, names: Iterable[str]) -> TicketEvent | None:
    """The latest entry that changed one of these fields; None where none tells."""
    wanted = set(names)
    query = select(ticket_events).where(
        ticket_events.c.ticket_id == ticket_id, ticket_events.c.changes.is_not(None)
    )
    rows = conn.execute(query.order_by(ticket_events.c.id.desc())).mappings()
    found = map(_event, rows)
    return next((one for one in found if wanted & {change.field for change in one.changes}), None)


def opening(conn: Connection, ticket_id: int) -> TicketEvent | None:
    """The entry of the person who opened the ticket, whose values stand until a later change.

    None for an imported ticket, and when an edit does not tell which fields it changed.
    """
    query = select(ticket_events).where(ticket_events.c.ticket_id == ticket_id)
    first = conn.execute(query.order_by(ticket_events.c.id).limit(1)).mappings().first()
    untold = query.where(ticket_events.c.kind == EventKind.EDIT, ticket_events.c.changes.is_(None))
    if first is None or first["kind"] != EventKind.STATUS or conn.execute(untold.limit(1)).first():
        return None
    return _event(first)


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
    query = _since(ticket_id, kind, author, since).where(ticket_events.c.body == body)
    row = conn.execute(query).mappings().first()
    return _event(row) if row else None


def exists_since(
    conn: Connection, ticket_id: int, kind: EventKind, *, author: str, since: datetime
) -> bool:
    """Whether this author has an entry of this kind since then."""
    return conn.execute(_since(ticket_id, kind, author, since).limit(1)).first() is not None


def _since(ticket_id: int, kind: EventKind, author: str, since: datetime) -> Select[Any]:
    return select(ticket_events).where(
        ticket_events.c.ticket_id == ticket_id,
        ticket_events.c.kind == kind,
        ticket_events.c.author == author,
        ticket_events.c.created_at >= since,
    )


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
