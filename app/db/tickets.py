"""Tickets: rows in, values out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    SelectBase,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    select,
    union,
    update,
)

from app.db import create_keys, search
from app.db.joins import in_order
from app.db.tables import (
    TICKET_TURN,
    TICKET_UNEXPLAINED,
    TICKET_UNTRIAGED,
    TICKET_WEIGHT,
    idempotency_keys,
    ticket_terms,
    tickets,
    users,
)
from app.db.ticket_columns import Changes, NewRow, Predicted, SyncState
from app.errors import NotFound
from app.models.accounts import Role
from app.models.tickets import Priority, SyncStatus, Ticket, TicketStatus
from app.models.views import TicketFilter

NUMBER = re.compile(r"[A-Za-z]{2,8}\d{4,20}")
NAMES = tuple(name for name in Ticket.__dataclass_fields__ if name != "hidden")
COUNT_CAP = 1_000
# The columns whose words a ticket is found by.
TOLD = frozenset(("subject", "description", "resolution_notes"))
# The person's own before the predicted one.
_effective = func.coalesce(tickets.c.priority, tickets.c.predicted_priority)
# Lists are filtered and sorted by weight, which has an index.
_weight: ColumnElement[int] = literal_column(TICKET_WEIGHT, Integer)
WEIGHTS = {priority.value: weight for weight, priority in enumerate(Priority, start=1)}
SORTS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "updated": (tickets.c.updated_at.desc(), tickets.c.id.desc()),
    "created": (tickets.c.created_at.desc(), tickets.c.id.desc()),
    "oldest": (tickets.c.created_at, tickets.c.id),
    "priority": (_weight.desc(), tickets.c.updated_at.desc(), tickets.c.id.desc()),
    "id": (tickets.c.id.desc(),),
}


def ticket_of_row(row: RowMapping) -> Ticket:
    """A whole row of the table as a value."""
    values = {name: row[name] for name in NAMES}
    values["status"] = TicketStatus(row["status"])
    values["priority"] = Priority(row["priority"]) if row["priority"] else None
    predicted = row["predicted_priority"]
    values["predicted_priority"] = Priority(predicted) if predicted else None
    values["sn_sync_status"] = SyncStatus(row["sn_sync_status"]) if row["sn_sync_status"] else None
    values["sn_agreed"] = row["sn_agreed"] or {}
    values["sn_conflicts"] = row["sn_conflicts"] or {}
    return Ticket(**values)


def get(conn: Connection, ticket_id: int, *, for_update: bool = False) -> Ticket:
    """The ticket. Raises NotFound. `for_update` locks its row on PostgreSQL."""
    query = select(tickets).where(tickets.c.id == ticket_id)
    if for_update:
        query = query.with_for_update()
    row = conn.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"Ticket {ticket_id} was not found.")
    return ticket_of_row(row)


def of_ids(conn: Connection, ticket_ids: Iterable[int]) -> dict[int, Ticket]:
    """The tickets with these ids, by id."""
    query = select(tickets).where(tickets.c.id.in_(tuple(ticket_ids)))
    return {row["id"]: ticket_of_row(row) for row in conn.execute(query).mappings()}


def linked(conn: Connection, sys_ids: Sequence[str], *, for_update: bool) -> dict[str, Ticket]:
    """The tickets of these incidents, by sys_id. `for_update` locks them on PostgreSQL."""
    query = select(tickets).where(tickets.c.sn_sys_id.in_(sys_ids)).order_by(tickets.c.id)
    if for_update:
        query = query.with_for_update()
    return {row["sn_sys_id"]: ticket_of_row(row) for row in conn.execute(query).mappings()}


def add(conn: Connection, **values: Unpack[NewRow]) -> Ticket:
    row = conn.execute(
        tickets.insert().values(sn_key=create_keys.draw(), **values).returning(tickets)
    )
    ticket = ticket_of_row(row.mappings().one())
    search.index_tickets(conn, [ticket.id])
    return ticket


def change(
    conn: Connection,
    ticket: Ticket,
    *,
    now: datetime,
    sync: SyncState | None = None,
    reindex: bool = True,
    **values: Unpack[Changes],
) -> Ticket:
    """Write changes to a ticket that was read in this transaction.

    Another priority without its impact and urgency forgets those: they made the one before.
    `sync` is written with them. Without `reindex` the caller writes the words for the search, of
    many tickets at once.
    """
    if values.get("priority", ticket.priority) != ticket.priority:
        values = Changes(impact=None, urgency=None) | values
    row = conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket.id)
        .values(updated_at=now, version=ticket.version + 1, **values, **(sync or {}))
        .returning(tickets)
    )
    changed = ticket_of_row(row.mappings().one())
    if reindex and not TOLD.isdisjoint(values):
        search.index_tickets(conn, [ticket.id])
    return changed


def fill(conn: Connection, ticket_id: int, **values: Unpack[Predicted]) -> None:
    """Write what triage says: no form that is open on the ticket is out of date for that."""
    conn.execute(update(tickets).where(tickets.c.id == ticket_id).values(**values))


def fill_all(conn: Connection, filled: Mapping[int, Predicted]) -> None:
    """As `fill`, of many tickets by id."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for ticket_id, values in filled.items():
        alike.setdefault(tuple(sorted(values)), []).append({"ticket_id": ticket_id, **values})
    for names, rows in alike.items():
        columns: dict[str, Any] = {name: bindparam(name) for name in names}
        same = tickets.c.id == bindparam("ticket_id")
        conn.execute(update(tickets).where(same).values(columns), rows)


def untriaged(conn: Connection, *, limit: int) -> tuple[Ticket, ...]:
    """Unfinished tickets that triage has not read as they are now, in the order of their turn."""
    return _waiting(conn, TICKET_UNTRIAGED, limit=limit)


def unexplained(conn: Connection, *, limit: int) -> tuple[Ticket, ...]:
    """Unfinished tickets that were triaged in a batch, in the order of their turn."""
    return _waiting(conn, TICKET_UNEXPLAINED, limit=limit)


def _waiting(conn: Connection, which: str, *, limit: int) -> tuple[Ticket, ...]:
    """Open and in progress before pending, the newest first."""
    query = select(tickets).where(literal_column(which))
    query = query.order_by(literal_column(TICKET_TURN), tickets.c.id.desc()).limit(limit)
    return tuple(ticket_of_row(row) for row in conn.execute(query).mappings())


def still_untriaged(conn: Connection, ticket_ids: Sequence[int]) -> dict[int, int]:
    """The versions of those that nobody else has triaged, by id; locks them on PostgreSQL."""
    query = select(tickets.c.id, tickets.c.version).where(
        tickets.c.id.in_(ticket_ids), tickets.c.triaged_at.is_(None)
    )
    rows = conn.execute(query.order_by(tickets.c.id).with_for_update())
    return {row[0]: row[1] for row in rows}


def annotate(conn: Connection, ticket: Ticket, **values: Unpack[SyncState]) -> Ticket:
    """Write how the sync stands; no form that is open on the ticket is out of date for that."""
    row = conn.execute(
        update(tickets).where(tickets.c.id == ticket.id).values(**values).returning(tickets)
    )
    return ticket_of_row(row.mappings().one())


def touch(conn: Connection, ticket_id: int, *, now: datetime) -> None:
    """Something was said on the ticket; no form that is open on it is out of date for that."""
    conn.execute(update(tickets).where(tickets.c.id == ticket_id).values(updated_at=now))


def _where(wanted: TicketFilter) -> list[ColumnElement[bool]]:
    """Everything that is asked for but the words."""
    where: list[ColumnElement[bool]] = []
    if wanted.requester is not None:
        where.append(tickets.c.requester_email == wanted.requester)
    if wanted.status == "unfinished":
        where.append(tickets.c.status.in_(("open", "in_progress", "pending")))
    elif wanted.status:
        where.append(tickets.c.status == wanted.status)
    if wanted.priority:
        where.append(_weight == WEIGHTS.get(wanted.priority, -1))
    if wanted.category:
        category = func.coalesce(tickets.c.category, tickets.c.predicted_category)
        where.append(category == wanted.category)
    if wanted.assignee == "nobody":
        where.append(tickets.c.assignee.is_(None))
    elif wanted.assignee:
        where.append(tickets.c.assignee == wanted.assignee)
    if wanted.conflict:
        where.append(tickets.c.sn_conflict_since.is_not(None))
    return where


def _found(conn: Connection, q: str) -> SelectBase:
    """The ids of tickets that hold every word of `q`, and of that number or incident number."""
    wanted = [search.ids_with_all(conn, ticket_terms, q)]
    number = q.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        wanted.append(select(literal(int(number))))
        number = f"INC{int(number):07}"
    if NUMBER.fullmatch(number):
        wanted.append(select(tickets.c.id).where(tickets.c.sn_number == number.upper()))
    return union(*wanted) if len(wanted) > 1 else wanted[0]


def _listed(
    conn: Connection, wanted: TicketFilter, *columns: ColumnElement[Any], broad: bool = False
) -> Select[Any]:
    """The tickets asked for, or some `columns` of them. `broad`: walk them in the list's order."""
    query: Select[Any] = select(*(columns or (tickets,))).where(*_where(wanted))
    if wanted.q and (broad or wanted.requester is not None):
        # `+ 0` keeps SQLite off the key: the ids are found once and each ticket is looked up there.
        key = tickets.c.id + 0 if conn.dialect.name == "sqlite" else tickets.c.id
        return query.where(key.in_(_found(conn, wanted.q)))
    if wanted.q:
        first = _found(conn, wanted.q).subquery()
    elif wanted.conflict:
        # The few in conflict by their partial index, which SQLite would pass over for the order's.
        first = select(tickets.c.id).where(tickets.c.sn_conflict_since.is_not(None)).subquery()
    else:
        return query
    return query.select_from(in_order(first, tickets, tickets.c.id == next(iter(first.c))))


def page(
    conn: Connection,
    wanted: TicketFilter,
    *,
    sort: str,
    limit: int,
    offset: int,
    broad: bool = False,
) -> tuple[Ticket, ...]:
    """One page of a list, sorted by one of SORTS; `broad`: more than COUNT_CAP match."""
    query = _listed(conn, wanted, broad=broad).order_by(*SORTS[sort])
    rows = conn.execute(query.limit(limit).offset(offset)).mappings()
    return tuple(ticket_of_row(row) for row in rows)


def after(
    conn: Connection, wanted: TicketFilter, *, last: int | None, limit: int
) -> tuple[Ticket, ...]:
    """The tickets with ids below `last`, newest first: a list that is stable while it is read."""
    query = _listed(conn, wanted).order_by(tickets.c.id.desc())
    if last is not None:
        query = query.where(tickets.c.id < last)
    return tuple(ticket_of_row(row) for row in conn.execute(query.limit(limit)).mappings())


def count(conn: Connection, wanted: TicketFilter) -> int:
    """How many match, counted up to one more than COUNT_CAP."""
    capped = _listed(conn, wanted, tickets.c.id).limit(COUNT_CAP + 1).subquery()
    return conn.execute(select(func.count()).select_from(capped)).scalar_one()


def counts(
    conn: Connection, *, requester: str | None, since: Sequence[datetime]
) -> tuple[dict[str, int], dict[str, int], tuple[int, ...]]:
    """Tickets by status; unfinished ones by effective priority; unfinished ones by age.

    Ages: how many were created since each of the given moments, and the rest, each once.
    """
    mine = [tickets.c.requester_email == requester] if requester is not None else []
    unfinished = tickets.c.status.in_(("open", "in_progress", "pending"))
    by_status = conn.execute(
        select(tickets.c.status, func.count()).where(*mine).group_by(tickets.c.status)
    ).all()
    by_priority = conn.execute(
        select(_effective, func.count()).where(unfinished, *mine).group_by(_effective)
    ).all()
    edges = [None, *since, None]
    buckets = [
        func.sum(case((and_(*_between(newest, oldest)), 1), else_=0))
        for newest, oldest in pairwise(edges)
    ]
    ages = conn.execute(select(*buckets).where(unfinished, *mine)).one()
    return (
        {row[0]: row[1] for row in by_status},
        {row[0] or "": row[1] for row in by_priority},
        tuple(int(number or 0) for number in ages),
    )


def _between(newest: datetime | None, oldest: datetime | None) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [tickets.c.id > 0]
    if newest is not None:
        where.append(tickets.c.created_at < newest)
    if oldest is not None:
        where.append(tickets.c.created_at >= oldest)
    return where


def assignable(conn: Connection) -> tuple[str, ...]:
    """The addresses of active agents and admins, by name."""
    query = select(users.c.email).where(users.c.active, users.c.role.in_((Role.AGENT, Role.ADMIN)))
    return tuple(conn.execute(query.order_by(users.c.name_key)).scalars())


def find_idempotent(conn: Connection, user_id: int, key: str) -> tuple[str, int] | None:
    """(body hash, ticket id) of an earlier request with this key."""
    keys = idempotency_keys
    row = conn.execute(
        select(keys.c.body_hash, keys.c.ticket_id).where(
            keys.c.user_id == user_id, keys.c.key == key
        )
    ).first()
    return (row[0], row[1]) if row else None


def add_idempotent(
    conn: Connection, user_id: int, key: str, *, body_hash: str, ticket_id: int, now: datetime
) -> None:
    """Remember which ticket a request with this key opened."""
    conn.execute(
        idempotency_keys.insert().values(
            user_id=user_id, key=key, body_hash=body_hash, ticket_id=ticket_id, created_at=now
        )
    )
