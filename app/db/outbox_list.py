"""The outbox as a list: what waits on top, filtered and counted."""

from sqlalchemy import ColumnElement, Connection, func, select

from app.db.outbox import WAITING, item_of_row
from app.db.tables import outbox
from app.models.servicenow import OutboxItem, OutboxState
from app.models.servicenow_pages import OutboxFilter


def _matching(wanted: OutboxFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.state == "waiting":
        where.append(outbox.c.state.in_(WAITING))
    elif wanted.state:
        # Kept from the index on states: most are done, and sorting them takes longer than a
        # look at the newest.
        where.append(func.coalesce(outbox.c.state, "") == wanted.state)
    if wanted.kind:
        where.append(outbox.c.kind == wanted.kind)
    if wanted.ticket is not None:
        where.append(outbox.c.ticket_id == wanted.ticket)
    return where


def page(
    conn: Connection, wanted: OutboxFilter, *, limit: int, offset: int
) -> tuple[OutboxItem, ...]:
    """Blocked first, then what waits by its next try, then what is over, newest first."""
    waits = outbox.c.state.in_(WAITING)
    first = (
        select(outbox)
        .where(waits, *_matching(wanted))
        .order_by(outbox.c.state != OutboxState.BLOCKED, outbox.c.not_before, outbox.c.id)
    )
    found = [item_of_row(row) for row in conn.execute(first.limit(limit).offset(offset)).mappings()]
    if len(found) < limit:
        # What is over can be very much: it is read in the order of its key, unsorted.
        waiting = _count(conn, waits, *_matching(wanted))
        over = select(outbox).where(~waits, *_matching(wanted)).order_by(outbox.c.id.desc())
        rest = over.limit(limit - len(found)).offset(max(0, offset - waiting))
        found += [item_of_row(row) for row in conn.execute(rest).mappings()]
    return tuple(found)


def count(conn: Connection, wanted: OutboxFilter) -> int:
    return _count(conn, *_matching(wanted))


def _count(conn: Connection, *where: ColumnElement[bool]) -> int:
    return conn.execute(select(func.count()).select_from(outbox).where(*where)).scalar_one()


def count_waiting(conn: Connection) -> int:
    query = select(func.count()).select_from(outbox).where(outbox.c.state.in_(WAITING))
    return conn.execute(query).scalar_one()
