"""Pushes that go by themselves once what held them is gone, and those that are too old for it."""

from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    false,
    func,
    or_,
    select,
    update,
)

from app.db.tables import connections, outbox
from app.errors import Kind
from app.models.servicenow import OutboxState

AT_ONCE = 10
LONGEST_WAIT = timedelta(days=30)
BETWEEN_RELEASES = timedelta(hours=1)
ON_ITS_WAY = (OutboxState.PENDING, OutboxState.UNCONFIRMED)
# Kinds of which an outage is made. A rate limit is none: there the instance says how long to wait.
OUTAGES = (Kind.AUTH, Kind.NETWORK, Kind.HIBERNATING, Kind.BUSY, Kind.UNEXPECTED)
TOO_OLD = (
    "This waited for more than 30 days. Check that it is still wanted, then press Retry now, or "
    "discard it."
)


def release(conn: Connection, host: str, *, now: datetime, wrote: bool = False) -> int:
    """Make due what an outage held that is over, oldest first, and say how many.

    With `wrote`, a write was just taken: also what was blocked for a missing right, once each.
    At most ten are let go at once; the next follow as these arrive.
    """
    room = AT_ONCE - _under_way(conn, now)
    if room <= 0:
        return 0
    held = or_(_blocked(wrote=wrote), _postponed(host, now))
    wanted = (outbox.c.host == host, _age() > now - LONGEST_WAIT, held)
    query = select(outbox.c.id).where(*wanted).order_by(outbox.c.id).limit(room)
    found = tuple(conn.execute(query).scalars())
    if found:
        uncertain = outbox.c.unconfirmed_since.is_not(None)
        state = case((uncertain, OutboxState.UNCONFIRMED), else_=OutboxState.PENDING)
        values = {"state": state, "not_before": now, "released_at": now}
        conn.execute(update(outbox).where(outbox.c.id.in_(found), held).values(**values))
    return len(found)


def waiting(conn: Connection, host: str, *, now: datetime, wrote: bool) -> bool:
    """Whether there may be something to release."""
    held = or_(_blocked(wrote=wrote), _postponed(host, now))
    query = select(outbox.c.id).where(outbox.c.host == host, held).limit(1)
    return conn.execute(query).first() is not None


def block_old(conn: Connection, host: str, *, now: datetime) -> None:
    """What was tried and has waited for more than 30 days waits for a person."""
    conn.execute(
        update(outbox)
        .where(
            outbox.c.host == host,
            outbox.c.state.in_(ON_ITS_WAY),
            outbox.c.attempts > 0,
            _age() <= now - LONGEST_WAIT,
        )
        .values(state=OutboxState.BLOCKED, error=TOO_OLD, error_kind=Kind.OLD)
    )


def _under_way(conn: Connection, now: datetime) -> int:
    query = select(func.count()).where(
        outbox.c.released_at.is_not(None),
        outbox.c.state.in_((*ON_ITS_WAY, OutboxState.SENDING)),
        outbox.c.not_before <= now,
    )
    return conn.execute(query).scalar_one()


def _blocked(*, wrote: bool) -> ColumnElement[bool]:
    """A right that was missing may be one of this record alone: it is tried again only once."""
    elsewhere = outbox.c.error_kind == Kind.OTHER_INSTANCE
    right = and_(outbox.c.error_kind == Kind.PERMISSION, outbox.c.released_at.is_(None))
    return and_(outbox.c.state == OutboxState.BLOCKED, or_(elsewhere, right if wrote else false()))


def _postponed(host: str, now: datetime) -> ColumnElement[bool]:
    """What fails while others get through is not tried again with each of them."""
    recovered = select(connections.c.recovered_at).where(connections.c.host == host)
    return and_(
        outbox.c.state.in_(ON_ITS_WAY),
        outbox.c.error_kind.in_(OUTAGES),
        outbox.c.not_before > now,
        outbox.c.claimed_at <= recovered.scalar_subquery(),
        or_(outbox.c.released_at.is_(None), outbox.c.released_at < now - BETWEEN_RELEASES),
    )


def _age() -> ColumnElement[datetime]:
    """When a push was wanted last."""
    return func.coalesce(outbox.c.renewed_at, outbox.c.created_at)
