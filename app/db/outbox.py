"""The outbox: pushes to send, claimed and settled by guarded updates."""

from datetime import datetime, timedelta
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    exists,
    or_,
    select,
    update,
)

from app.db.tables import outbox, tickets
from app.errors import Kind, NotFound
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState

CLAIMABLE = (OutboxState.PENDING, OutboxState.UNCONFIRMED)
WAITING = (*CLAIMABLE, OutboxState.SENDING, OutboxState.BLOCKED)
LONGEST_DELAY = timedelta(hours=4)


class NewItem(TypedDict):
    """The columns of a new item."""

    ticket_id: int
    generation: int
    kind: OutboxKind
    host: str
    created_by: str
    event_id: NotRequired[int]
    sys_id: NotRequired[str]
    correlation_id: NotRequired[str]
    assignment_group: NotRequired[str | None]


class Choices(TypedDict, total=False):
    """What a person chose for an item: values of the instance, None for the default."""

    close_code: str | None
    assignment_group: str | None


class NextTry(TypedDict, total=False):
    """When a failed item is tried again, and since when its end is unknown."""

    not_before: datetime
    unconfirmed_since: datetime


class _Attempt(NextTry, total=False):
    attempts: int
    sent_at: datetime
    settled_at: datetime
    error: str | None
    error_kind: Kind | None


def item_of_row(row: RowMapping) -> OutboxItem:
    """A whole row of the table as a value."""
    names = OutboxItem.__dataclass_fields__
    values = {name: row[name] for name in names}
    return OutboxItem(
        **values
        | {
            "kind": OutboxKind(row["kind"]),
            "state": OutboxState(row["state"]),
            "error_kind": Kind(row["error_kind"]) if row["error_kind"] else None,
        }
    )


def _first_in_line() -> ColumnElement[bool]:
    """No push of the same ticket is being sent and no earlier one is still on its way.

    A blocked create holds all behind it; another blocked push lets the later ones pass.
    """
    other = outbox.alias("other")
    holds = and_(other.c.kind == OutboxKind.CREATE, other.c.state == OutboxState.BLOCKED)
    ahead = and_(other.c.id < outbox.c.id, or_(other.c.state.in_(CLAIMABLE), holds))
    return ~exists().where(
        other.c.ticket_id == outbox.c.ticket_id,
        or_(other.c.state == OutboxState.SENDING, ahead),
    )


def add(conn: Connection, *, now: datetime, **values: Unpack[NewItem]) -> OutboxItem:
    """Insert one pending item, due at once."""
    row = conn.execute(
        outbox.insert()
        .values(state=OutboxState.PENDING, not_before=now, created_at=now, **values)
        .returning(outbox)
    )
    return item_of_row(row.mappings().one())


def find_create(conn: Connection, ticket_id: int, generation: int) -> OutboxItem | None:
    """The create of this ticket and generation that was not discarded."""
    mine = (outbox.c.ticket_id == ticket_id, outbox.c.generation == generation)
    query = select(outbox).where(
        *mine, outbox.c.kind == OutboxKind.CREATE, outbox.c.state != OutboxState.DISCARDED
    )
    row = conn.execute(query).mappings().first()
    return item_of_row(row) if row else None


def find_update(conn: Connection, ticket_id: int) -> OutboxItem | None:
    """The status push that has not been taken for sending yet: a newer status joins it."""
    joinable = (OutboxState.PENDING, OutboxState.UNCONFIRMED, OutboxState.BLOCKED)
    query = select(outbox).where(
        outbox.c.ticket_id == ticket_id,
        outbox.c.kind == OutboxKind.UPDATE,
        outbox.c.state.in_(joinable),
    )
    row = conn.execute(query.order_by(outbox.c.id.desc())).mappings().first()
    return item_of_row(row) if row else None


def find_note(conn: Connection, event_id: int) -> OutboxItem | None:
    row = conn.execute(select(outbox).where(outbox.c.event_id == event_id)).mappings().first()
    return item_of_row(row) if row else None


def get(conn: Connection, item_id: int) -> OutboxItem:
    """One push. Raises NotFound."""
    row = conn.execute(select(outbox).where(outbox.c.id == item_id)).mappings().first()
    if row is None:
        raise NotFound(f"Outbox item {item_id} was not found.")
    return item_of_row(row)


def of_ticket(conn: Connection, ticket_id: int) -> tuple[OutboxItem, ...]:
    """What waits for this ticket, in the order it will be sent."""
    query = select(outbox).where(outbox.c.ticket_id == ticket_id, outbox.c.state.in_(WAITING))
    return tuple(item_of_row(row) for row in conn.execute(query.order_by(outbox.c.id)).mappings())


def due(conn: Connection, *, now: datetime, limit: int, held: bool = False) -> tuple[int, ...]:
    """Ids that may be claimed now, oldest first; no creates while they are `held`."""
    query = (
        select(outbox.c.id)
        .where(*_claimable(now, held=held))
        .order_by(outbox.c.not_before, outbox.c.id)
        .limit(limit)
    )
    return tuple(conn.execute(query).scalars())


def _claimable(now: datetime, *, held: bool) -> list[ColumnElement[bool]]:
    where = [outbox.c.state.in_(CLAIMABLE), outbox.c.not_before <= now, _first_in_line()]
    return [*where, outbox.c.kind != OutboxKind.CREATE] if held else where


def claim(
    conn: Connection, item_id: int, *, now: datetime, held: bool = False
) -> OutboxItem | None:
    """Take the item for sending; None when it is taken, not due, not the first in line, or a
    create while those are `held`.

    On PostgreSQL the ticket's row is locked first: two claims of one ticket, made at once by
    different processes, would not see each other.
    """
    of_item = select(outbox.c.ticket_id).where(outbox.c.id == item_id).scalar_subquery()
    lock = select(tickets.c.id).where(tickets.c.id == of_item).with_for_update(key_share=True)
    conn.execute(lock)
    row = conn.execute(
        update(outbox)
        .where(outbox.c.id == item_id, *_claimable(now, held=held))
        .values(state=OutboxState.SENDING, claimed_at=now, attempts=outbox.c.attempts + 1)
        .returning(outbox)
    )
    found = row.mappings().first()
    return item_of_row(found) if found else None


def finish(conn: Connection, item: OutboxItem, *, now: datetime) -> bool:
    """The attempt that `item` is succeeded; False when its lease was lost."""
    return _settle(conn, item, OutboxState.DONE, settled_at=now, error=None, error_kind=None)


def fail(
    conn: Connection,
    item: OutboxItem,
    state: OutboxState,
    *,
    error: str,
    kind: Kind,
    **again: Unpack[NextTry],
) -> bool:
    """The attempt that `item` is failed; False when its lease was lost."""
    return _settle(conn, item, state, error=error, error_kind=kind, **again)


def _settle(
    conn: Connection, item: OutboxItem, state: OutboxState, **values: Unpack[_Attempt]
) -> bool:
    row = conn.execute(
        update(outbox)
        .where(
            outbox.c.id == item.id,
            outbox.c.state == OutboxState.SENDING,
            outbox.c.attempts == item.attempts,
        )
        .values(state=state, **values)
    )
    return row.rowcount == 1


def is_ours(conn: Connection, item: OutboxItem) -> bool:
    """Whether the attempt that `item` is still holds it."""
    query = select(outbox.c.id).where(
        outbox.c.id == item.id,
        outbox.c.state == OutboxState.SENDING,
        outbox.c.attempts == item.attempts,
    )
    return conn.execute(query).first() is not None


def note_sending(conn: Connection, item: OutboxItem, *, at: datetime) -> bool:
    """A write of the attempt that `item` is goes out; False when its lease was lost.

    `at` is by the instance's clock, as the stamps of what it writes.
    """
    return _settle(conn, item, OutboxState.SENDING, sent_at=at)


def give_back(conn: Connection, item: OutboxItem, *, not_before: datetime) -> bool:
    """Undo a claim that came to no call; the attempt does not count."""
    state = OutboxState.UNCONFIRMED if item.unconfirmed_since else OutboxState.PENDING
    return _settle(conn, item, state, attempts=item.attempts - 1, not_before=not_before)


def release_stale(conn: Connection, *, claimed_before: datetime, now: datetime) -> int:
    """Items whose sender died become unconfirmed, to be looked up at once.

    It may have sent until just now, so the settle time starts now and not with the claim.
    """
    row = conn.execute(
        update(outbox)
        .where(outbox.c.state == OutboxState.SENDING, outbox.c.claimed_at <= claimed_before)
        .values(
            state=OutboxState.UNCONFIRMED,
            unconfirmed_since=now,
            not_before=now,
        )
    )
    return row.rowcount


def revive(
    conn: Connection,
    item_id: int,
    *,
    now: datetime,
    solved: bool = False,
    **choices: Unpack[Choices],
) -> bool:
    """Make a waiting item due now; one whose end is unknown will be looked up first.

    `solved`: what it failed for is gone, so that its error is not shown until the next try.
    """
    no_error = {"error": None, "error_kind": None} if solved else {}
    row = conn.execute(
        update(outbox)
        .where(outbox.c.id == item_id, outbox.c.state.in_((OutboxState.BLOCKED, *CLAIMABLE)))
        .values(
            state=case(
                (outbox.c.unconfirmed_since.is_not(None), OutboxState.UNCONFIRMED),
                else_=OutboxState.PENDING,
            ),
            not_before=now,
            released_at=None,
            renewed_at=now,
            **no_error,
            **choices,
        )
    )
    return row.rowcount == 1


def send_anew(
    conn: Connection, item_id: int, *, sys_id: str, correlation_id: str, now: datetime
) -> bool:
    """A person found no incident of a blocked create: it starts over, with keys of its own."""
    row = conn.execute(
        update(outbox)
        .where(
            outbox.c.id == item_id,
            outbox.c.state == OutboxState.BLOCKED,
            outbox.c.error_kind == Kind.UNPROVEN,
        )
        .values(
            state=OutboxState.PENDING,
            sys_id=sys_id,
            correlation_id=correlation_id,
            sent_at=None,
            unconfirmed_since=None,
            not_before=now,
            renewed_at=now,
            error=None,
            error_kind=None,
        )
    )
    return row.rowcount == 1


def renew(conn: Connection, item_id: int, *, now: datetime) -> None:
    """A waiting push is wanted from now on: what it sends has changed."""
    conn.execute(update(outbox).where(outbox.c.id == item_id).values(renewed_at=now))


def requeue(
    conn: Connection, item: OutboxItem, *, generation: int, host: str, by: str, now: datetime
) -> OutboxItem:
    """A discarded push is wanted after all; one that may have arrived is looked up first."""
    state = OutboxState.UNCONFIRMED if item.unconfirmed_since else OutboxState.PENDING
    row = conn.execute(
        update(outbox)
        .where(outbox.c.id == item.id)
        .values(
            state=state,
            generation=generation,
            host=host,
            created_by=by,
            not_before=now,
            renewed_at=now,
            settled_at=None,
            error=None,
            error_kind=None,
        )
        .returning(outbox)
    )
    return item_of_row(row.mappings().one())


def amend(conn: Connection, item_id: int, *, now: datetime, **choices: Unpack[Choices]) -> bool:
    """Change a push that certainly did not arrive and make it due; False for any other."""
    row = conn.execute(
        update(outbox)
        .where(outbox.c.id == item_id, *_certain())
        .values(state=OutboxState.PENDING, not_before=now, renewed_at=now, **choices)
    )
    return row.rowcount == 1


def _certain() -> tuple[ColumnElement[bool], ...]:
    waits = outbox.c.state.in_((OutboxState.PENDING, OutboxState.BLOCKED))
    return waits, outbox.c.unconfirmed_since.is_(None)


def discard(conn: Connection, item_id: int, *, now: datetime, reason: str) -> bool:
    """Drop one push that certainly did not arrive; False for one that may have."""
    row = conn.execute(
        update(outbox)
        .where(outbox.c.id == item_id, *_certain())
        .values(state=OutboxState.DISCARDED, settled_at=now, error=reason, error_kind=None)
    )
    return row.rowcount == 1


def discard_waiting(conn: Connection, ticket_id: int, *, now: datetime, reason: str) -> int:
    """Drop what waits for this ticket and is not being sent this moment."""
    row = conn.execute(
        update(outbox)
        .where(
            outbox.c.ticket_id == ticket_id,
            outbox.c.state.in_((OutboxState.BLOCKED, *CLAIMABLE)),
        )
        .values(state=OutboxState.DISCARDED, settled_at=now, error=reason, error_kind=None)
    )
    return row.rowcount


def backoff(attempts: int, *, first: timedelta) -> timedelta:
    """`first`, doubled per attempt, four hours at most."""
    doublings = min(max(attempts - 1, 0), 20)
    return min(first * (1 << doublings), LONGEST_DELAY)


def newest_create(conn: Connection, host: str) -> tuple[OutboxItem, str] | None:
    """The newest create whose incident is still linked, and the sys_id of that incident."""
    query = (
        select(outbox, tickets.c.sn_sys_id.label("linked"))
        .join(tickets, tickets.c.id == outbox.c.ticket_id)
        .where(
            outbox.c.kind == OutboxKind.CREATE,
            outbox.c.state == OutboxState.DONE,
            outbox.c.host == host,
            outbox.c.generation == tickets.c.sn_generation,
            tickets.c.sn_sys_id.is_not(None),
        )
        .order_by(outbox.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).mappings().first()
    return (item_of_row(row), row["linked"]) if row else None
