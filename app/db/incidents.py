"""Cached incidents, what is known of the instance, and its small lists."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, Dialect, RowMapping, func, or_, select, update

from app.db import bulk, search
from app.db.tables import choices, connections, incident_terms, incidents, tickets
from app.db.upserts import upsert
from app.errors import Kind
from app.models.servicenow import Incident, MirroredIncident

COLUMNS = Incident._fields
NOTES = COLUMNS.index("close_notes")
COUNT_CAP = 10_000
STEPS_TO_LEARN = 2


def store(conn: Connection, found: Iterable[Incident], *, now: datetime) -> None:
    """Cache incidents as just seen."""
    seen = tuple(found)
    _write(conn, prepared(conn.dialect, seen), now=now)
    search.index_incidents(conn, [one.sys_id for one in seen])


def prepared(dialect: Dialect, found: Sequence[Incident]) -> list[bulk.Row]:
    """What `store_many` takes."""
    return bulk.prepared(dialect, incidents, COLUMNS, found)


def store_many(conn: Connection, rows: Sequence[bulk.Row], *, now: datetime) -> None:
    """As `store`, for a page of a long read: the words for the search follow behind."""
    _write(conn, rows, now=now)
    search.add_waiting(conn, search.INCIDENT, [row[0] for row in rows if row[NOTES].strip()])
    silent = [row[0] for row in rows if not row[NOTES].strip()]
    conn.execute(incident_terms.delete().where(incident_terms.c.sys_id.in_(silent)))


def _write(conn: Connection, rows: Sequence[bulk.Row], *, now: datetime) -> None:
    bulk.insert(conn, incidents, COLUMNS, rows, same={"fetched_at": now}, keys=("sys_id",))


def remove(conn: Connection, sys_id: str) -> None:
    """Forget an incident that the instance no longer shows."""
    conn.execute(incidents.delete().where(incidents.c.sys_id == sys_id))


def _mirrored(row: RowMapping) -> MirroredIncident:
    return MirroredIncident(
        incident=Incident(**{name: row[name] for name in COLUMNS}),
        fetched_at=row["fetched_at"],
        ticket_id=row["ticket_id"],
    )


def _with_ticket() -> Any:
    joined = incidents.outerjoin(tickets, tickets.c.sn_sys_id == incidents.c.sys_id)
    return select(incidents, tickets.c.id.label("ticket_id")).select_from(joined)


def find(conn: Connection, sys_id: str) -> MirroredIncident | None:
    query = _with_ticket().where(incidents.c.sys_id == sys_id)
    row = conn.execute(query).mappings().first()
    return _mirrored(row) if row else None


def known(conn: Connection, sys_ids: Sequence[str]) -> dict[str, Incident]:
    """Those of the given incidents that are cached."""
    rows = conn.execute(select(incidents).where(incidents.c.sys_id.in_(sys_ids))).mappings()
    return {row["sys_id"]: Incident(**{name: row[name] for name in COLUMNS}) for row in rows}


def _matching(search: str, state: str) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if state:
        where.append(incidents.c.state == state)
    if search:
        where.append(
            or_(
                incidents.c.number.icontains(search, autoescape=True),
                incidents.c.short_description.icontains(search, autoescape=True),
                incidents.c.caller_name.icontains(search, autoescape=True),
            )
        )
    return where


def recent(
    conn: Connection, *, search: str, state: str, limit: int, offset: int
) -> tuple[MirroredIncident, ...]:
    """One page of cached incidents, latest update first."""
    query = (
        _with_ticket()
        .where(*_matching(search, state))
        .order_by(incidents.c.updated_at.desc(), incidents.c.sys_id.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(_mirrored(row) for row in conn.execute(query).mappings())


def count(conn: Connection, *, search: str, state: str) -> int:
    """How many match, counted up to COUNT_CAP."""
    capped = select(incidents.c.sys_id).where(*_matching(search, state)).limit(COUNT_CAP)
    return conn.execute(select(func.count()).select_from(capped.subquery())).scalar_one()


def states(conn: Connection) -> tuple[str, ...]:
    """The state values of the COUNT_CAP incidents that were updated last."""
    latest = select(incidents.c.state).order_by(incidents.c.updated_at.desc()).limit(COUNT_CAP)
    return tuple(conn.execute(select(latest.subquery().c.state).distinct()).scalars())


def connection(conn: Connection, host: str) -> RowMapping | None:
    return conn.execute(select(connections).where(connections.c.host == host)).mappings().first()


class Seen(TypedDict, total=False):
    """What is known of an instance and of the connection to it."""

    checked_at: datetime
    last_ok_at: datetime
    last_failed_at: datetime | None
    last_error: str | None
    last_error_kind: Kind | None
    last_hint: str | None
    recovered_at: datetime
    latency_ms: int
    fetched_at: datetime
    pulling: bool
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    test_finished_at: datetime | None
    test_checks: Sequence[Mapping[str, str]]
    page_size: int
    failures: int
    failing_kind: Kind
    failing_reason: str
    failing_since: datetime
    rests: int
    rests_until: datetime
    keeps_correlation_id: bool | None
    keeps_sys_id: bool | None
    restored_at: datetime
    restored_number: str
    creates_released_at: datetime
    creates_released_by: str
    write_steps: Mapping[str, Sequence[int]]


def remember_connection(conn: Connection, host: str, **values: Unpack[Seen]) -> None:
    """Note how the instance was last seen."""
    changed = conn.execute(
        update(connections).where(connections.c.host == host).values(**values)
    ).rowcount
    if not changed:
        upsert(conn, connections, [{"host": host, **values}])


def choices_read_at(conn: Connection, host: str, elements: Sequence[str]) -> datetime | None:
    """When the oldest of these lists was read; None while one of them never was."""
    query = (
        select(choices.c.element, func.max(choices.c.fetched_at).label("read_at"))
        .where(choices.c.host == host, choices.c.element.in_(elements))
        .group_by(choices.c.element)
    )
    found = {row.element: row.read_at for row in conn.execute(query)}
    return min(found.values()) if len(found) == len(elements) else None


def value_counts(conn: Connection, field: str) -> dict[str, int]:
    """How many cached incidents have each value of a field, the most frequent first."""
    column = incidents.c[field]
    query = select(column, func.count()).group_by(column).order_by(func.count().desc(), column)
    return {row[0]: row[1] for row in conn.execute(query)}


def known_choices(
    conn: Connection, host: str, element: str, *, since: datetime
) -> tuple[tuple[str, str], ...] | None:
    """(value, label) pairs read after `since`; None when there are none that fresh."""
    query = (
        select(choices.c.value, choices.c.label)
        .where(choices.c.host == host, choices.c.element == element)
        .where(choices.c.fetched_at >= since)
        .order_by(choices.c.position)
    )
    rows = conn.execute(query).all()
    return tuple((value, label) for value, label in rows) or None


def store_choices(
    conn: Connection,
    host: str,
    element: str,
    pairs: Sequence[tuple[str, str]],
    *,
    now: datetime,
) -> None:
    """Replace one list of the instance."""
    conn.execute(choices.delete().where(choices.c.host == host, choices.c.element == element))
    rows = [
        {
            "host": host,
            "element": element,
            "value": value,
            "label": label,
            "position": position,
            "fetched_at": now,
        }
        for position, (value, label) in enumerate(dict(pairs).items())
    ]
    upsert(conn, choices, rows)


def is_usual_step(conn: Connection, host: str, fields: Iterable[str], moved: int) -> bool:
    """Whether the last two writes of one of these fields moved the count of updates as far.

    What is seen now is remembered.
    """
    row = connection(conn, host)
    steps: dict[str, list[int]] = dict((row and row["write_steps"]) or {})
    usual = False
    for name in fields:
        last, times = steps.get(name, (1, 0))
        usual = usual or (last >= moved and times >= STEPS_TO_LEARN)
        if moved > 1 or name in steps:
            steps[name] = [moved, times + 1 if last == moved else 1]
    if steps:
        remember_connection(conn, host, write_steps=steps)
    return usual
