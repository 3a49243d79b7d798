"""How far changes of an instance were read; claimed by a guarded update."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    func,
    literal,
    or_,
    select,
    union,
    update,
)

from app.db.engine import UtcDateTime
from app.db.tables import incidents, incoming, tickets
from app.db.tickets import ticket_of_row
from app.db.upserts import insert_into
from app.models.conflicts import Values
from app.models.incoming_changes import IncomingState
from app.models.tickets import Ticket

NAMES = tuple(IncomingState.__dataclass_fields__)


class Progress(TypedDict, total=False):
    """How far changes were read."""

    watermark: datetime | None
    due_at: datetime | ColumnElement[Any] | None
    claimed_at: datetime | None
    pulled_at: datetime
    error: str | None
    rows: int
    hidden: int
    gone: int
    journal: str
    swept_at: datetime
    sweep_after: str
    looked_back_at: datetime
    ahead_at: datetime | None
    clock_ahead: int


def find(conn: Connection, host: str) -> IncomingState:
    """How it stands; as new for an instance that was never pulled from."""
    row = conn.execute(select(incoming).where(incoming.c.host == host)).mappings().first()
    return IncomingState(**{name: row[name] for name in NAMES}) if row else IncomingState(host)


def claim(
    conn: Connection, host: str, *, now: datetime, claimed_before: datetime, scheduled: bool
) -> IncomingState | None:
    """Take it when it is due and nobody has it, or whoever had it died; None otherwise."""
    _add_missing(conn, host)
    due = incoming.c.due_at <= now
    row = conn.execute(
        update(incoming)
        .where(
            incoming.c.host == host,
            or_(incoming.c.claimed_at.is_(None), incoming.c.claimed_at <= claimed_before),
            or_(due, incoming.c.due_at.is_(None)) if scheduled else due,
        )
        .values(claimed_at=now)
        .returning(incoming)
    )
    found = row.mappings().first()
    return IncomingState(**{name: found[name] for name in NAMES}) if found else None


def write(
    conn: Connection, state: IncomingState, **values: Unpack[Progress]
) -> IncomingState | None:
    """Write progress; None when somebody else has it by now."""
    row = conn.execute(
        update(incoming)
        .where(incoming.c.host == state.host, incoming.c.claimed_at == state.claimed_at)
        .values(**values)
        .returning(incoming)
    )
    found = row.mappings().first()
    return IncomingState(**{name: found[name] for name in NAMES}) if found else None


def raise_watermark(conn: Connection, host: str, stamp: datetime) -> None:
    """Everything up to this `sys_updated_on` was read; one that stands higher stays.

    The notes of what was imported were not: the next pull looks at everything known.
    """
    _add_missing(conn, host)
    lower = or_(incoming.c.watermark.is_(None), incoming.c.watermark < stamp)
    conn.execute(update(incoming).where(incoming.c.host == host, lower).values(watermark=stamp))
    sweep_again(conn, host)


def ask(conn: Connection, host: str, *, now: datetime) -> None:
    """Make it due now."""
    _add_missing(conn, host)
    conn.execute(update(incoming).where(incoming.c.host == host).values(due_at=now))


def unless_asked(claimed: datetime | None, due_at: datetime | None) -> ColumnElement[Any]:
    """What was asked for since it was claimed with this `due_at`, else the new one."""
    asked = incoming.c.due_at.is_distinct_from(literal(claimed, UtcDateTime))
    return case((asked, incoming.c.due_at), else_=literal(due_at, UtcDateTime))


def sweep_again(conn: Connection, host: str) -> None:
    """Look at everything known with the next pull."""
    conn.execute(update(incoming).where(incoming.c.host == host).values(swept_at=None))


def release(conn: Connection, host: str) -> None:
    """After a restart of the only process: nobody has it."""
    conn.execute(update(incoming).where(incoming.c.host == host).values(claimed_at=None))


def _add_missing(conn: Connection, host: str) -> None:
    conn.execute(insert_into(conn, incoming).values(host=host).on_conflict_do_nothing())


def linked(conn: Connection, host: str, sys_ids: Sequence[str]) -> Mapping[str, Ticket]:
    """The tickets linked to these incidents by sys_id, locked in the order of their ids."""
    query = (
        select(tickets)
        .where(tickets.c.sn_sys_id.in_(sys_ids), tickets.c.sn_host == host)
        .order_by(tickets.c.id)
        .with_for_update()
    )
    found = (ticket_of_row(row) for row in conn.execute(query).mappings())
    return {str(ticket.sn_sys_id): ticket for ticket in found}


def seen(conn: Connection, host: str, sys_ids: Sequence[str]) -> dict[str, Values]:
    """Which state of these incidents their tickets have seen, by sys_id."""
    query = select(tickets.c.sn_sys_id, tickets.c.sn_agreed).where(
        tickets.c.sn_sys_id.in_(sys_ids), tickets.c.sn_host == host
    )
    return {row[0]: (row[1] or {}).get("seen", {}) for row in conn.execute(query)}


def linked_ids(conn: Connection, host: str, sys_ids: Sequence[str]) -> tuple[str, ...]:
    """Those of these incidents that tickets are linked to."""
    query = select(tickets.c.sn_sys_id).where(
        tickets.c.sn_sys_id.in_(sys_ids), tickets.c.sn_host == host
    )
    return tuple(conn.execute(query).scalars())


def known_ids(conn: Connection, host: str, *, after: str, limit: int) -> tuple[str, ...]:
    """The next sys_ids of linked and of cached incidents, in their order."""
    ours = select(tickets.c.sn_sys_id.label("sys_id")).where(
        tickets.c.sn_host == host, tickets.c.sn_sys_id > after
    )
    mirrored = select(incidents.c.sys_id).where(incidents.c.sys_id > after)
    both = union(
        ours.order_by(tickets.c.sn_sys_id).limit(limit).subquery().select(),
        mirrored.order_by(incidents.c.sys_id).limit(limit).subquery().select(),
    ).subquery()
    query = select(both.c.sys_id).order_by(both.c.sys_id).limit(limit)
    return tuple(conn.execute(query).scalars())


def count_missing(conn: Connection, host: str) -> int:
    """Linked incidents that cannot be seen any more."""
    query = select(func.count()).where(
        tickets.c.sn_missing_since.is_not(None), tickets.c.sn_host == host
    )
    return conn.execute(query).scalar_one()
