"""The history of what was exchanged with the instance: added to, looked at, thrown away by age."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, select

from app.db.tables import exchanges, outbox, tickets
from app.models.servicenow import OutboxItem, OutboxState
from app.models.servicenow_pages import FieldChange, HistoryEntry, HistoryFilter

COUNT_CAP = 10_000
NAMES = tuple(HistoryEntry.__dataclass_fields__)


class CallFacts(TypedDict, total=False):
    """What the calls of an entry tell of it."""

    status: str
    transaction_id: str
    duration_ms: int
    calls: Sequence[Mapping[str, object]]


class Entry(CallFacts):
    """One exchange with the instance; what is left out is not known of it."""

    at: datetime
    direction: str
    what: str
    ticket_id: NotRequired[int]
    run_id: NotRequired[int]
    number: NotRequired[str]
    who: NotRequired[str | None]
    attempt: NotRequired[int]
    outcome: NotRequired[str]
    detail: NotRequired[str]
    changes: NotRequired[Sequence[FieldChange]]


UNTOLD: dict[str, Any] = {
    "ticket_id": None,
    "run_id": None,
    "number": "",
    "who": None,
    "attempt": 1,
    "outcome": "done",
    "status": "",
    "transaction_id": "",
    "duration_ms": 0,
    "detail": "",
    "calls": (),
}


def add(conn: Connection, **entry: Unpack[Entry]) -> None:
    """Write one entry."""
    add_all(conn, [entry])


def add_all(conn: Connection, entries: Iterable[Entry], **facts: Unpack[CallFacts]) -> None:
    """Write several entries that the same calls brought, with one statement."""
    rows = [
        {
            **UNTOLD,
            **facts,
            **entry,
            "changes": [asdict(change) for change in entry.get("changes", ())],
        }
        for entry in entries
    ]
    if rows:
        conn.execute(exchanges.insert(), rows)


def _exchange(row: RowMapping) -> HistoryEntry:
    values = {name: row[name] for name in NAMES}
    changes = tuple(FieldChange(**change) for change in row["changes"])
    return HistoryEntry(**values | {"changes": changes, "calls": tuple(row["calls"])})


def _matching(wanted: HistoryFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.ticket is not None:
        where.append(exchanges.c.ticket_id == wanted.ticket)
    if wanted.number:
        where.append(exchanges.c.number == wanted.number)
    if wanted.who:
        where.append(exchanges.c.who.icontains(wanted.who, autoescape=True))
    if wanted.outcome:
        where.append(exchanges.c.outcome == wanted.outcome)
    if wanted.direction:
        where.append(exchanges.c.direction == wanted.direction)
    if wanted.since:
        where.append(exchanges.c.at >= _midnight(wanted.since, wanted.zone))
    if wanted.until:
        where.append(exchanges.c.at < _midnight(wanted.until + timedelta(days=1), wanted.zone))
    return where


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When a day begins in a zone, as UTC."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def page(
    conn: Connection, wanted: HistoryFilter, *, limit: int, offset: int = 0
) -> tuple[HistoryEntry, ...]:
    """What matches, newest first."""
    query = select(exchanges).where(*_matching(wanted)).order_by(exchanges.c.id.desc())
    rows = conn.execute(query.limit(limit).offset(offset))
    return tuple(_exchange(row) for row in rows.mappings())


def before(
    conn: Connection, wanted: HistoryFilter, *, last_id: int | None, limit: int
) -> Sequence[HistoryEntry]:
    """The next that match, newest first, older than the one with `last_id`."""
    query = select(exchanges).where(*_matching(wanted))
    if last_id is not None:
        query = query.where(exchanges.c.id < last_id)
    rows = conn.execute(query.order_by(exchanges.c.id.desc()).limit(limit))
    return [_exchange(row) for row in rows.mappings()]


def count(conn: Connection, wanted: HistoryFilter) -> int:
    """How many match, counted up to COUNT_CAP."""
    capped = select(exchanges.c.id).where(*_matching(wanted)).limit(COUNT_CAP)
    return conn.execute(select(func.count()).select_from(capped.subquery())).scalar_one()


def purge(conn: Connection, *, older_than: datetime) -> int:
    """Throw away what is older; how many went."""
    return conn.execute(delete(exchanges).where(exchanges.c.at < older_than)).rowcount


def outcome(conn: Connection, item: OutboxItem) -> tuple[OutboxState, str | None, str | None]:
    """State and error of the item now, and the number of its ticket's incident."""
    query = select(outbox.c.state, outbox.c.error, tickets.c.sn_number).where(
        outbox.c.id == item.id, tickets.c.id == outbox.c.ticket_id
    )
    state, error, number = conn.execute(query).one()
    return OutboxState(state), error, number
