"""Sync runs: one row per pull, with its progress, and the ranges that it reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, RowMapping, and_, or_, select, update

from app.db.tables import sync_runs, sync_streams
from app.db.upserts import insert_into, upsert
from app.errors import NotFound
from app.models.sync_runs import RunState, SyncRun

OPEN = (RunState.QUEUED, RunState.RUNNING)


class Wanted(TypedDict):
    """What a run is asked to do."""

    row_limit: int
    query: str
    incident_state: str
    import_tickets: bool
    dry_run: bool
    updated_from: datetime | None
    updated_until: datetime | None


class Progress(TypedDict, total=False):
    """How a run stands."""

    state: RunState
    started_at: datetime
    finished_at: datetime
    claimed_at: datetime
    waiting_until: datetime
    stumbles: int
    error: str | None
    newest_stamp: datetime | None
    oldest_stamp: datetime
    oldest_sys_id: str
    total: int | None
    fetched: int
    hidden: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    failed: int
    reasons: Mapping[str, int]


class Undo(TypedDict, total=False):
    """How the undo of a run stands."""

    undo_due_at: datetime | None
    undone_at: datetime
    kept_touched: int
    kept_pushed: int


def _run(row: RowMapping) -> SyncRun:
    names = SyncRun.__dataclass_fields__
    values = {name: row[name] for name in names}
    return SyncRun(**values | {"state": RunState(row["state"])})


def add(
    conn: Connection, *, created_by: str, now: datetime, **wanted: Unpack[Wanted]
) -> SyncRun | None:
    """Queue one run; None when another process has just queued one."""
    row = conn.execute(
        insert_into(conn, sync_runs)
        .values(state=RunState.QUEUED, reasons={}, created_by=created_by, created_at=now, **wanted)
        .on_conflict_do_nothing()
        .returning(sync_runs)
    )
    found = row.mappings().first()
    return _run(found) if found else None


def get(conn: Connection, run_id: int) -> SyncRun:
    row = conn.execute(select(sync_runs).where(sync_runs.c.id == run_id)).mappings().first()
    if row is None:
        raise NotFound(f"Import {run_id} was not found.")
    return _run(row)


def find_open(conn: Connection) -> SyncRun | None:
    """The run that waits or works; there is one at a time."""
    query = select(sync_runs).where(sync_runs.c.state.in_(OPEN)).order_by(sync_runs.c.id)
    row = conn.execute(query).mappings().first()
    return _run(row) if row else None


def latest(conn: Connection) -> SyncRun | None:
    row = conn.execute(select(sync_runs).order_by(sync_runs.c.id.desc()).limit(1))
    found = row.mappings().first()
    return _run(found) if found else None


def claim(conn: Connection, *, now: datetime, claimed_before: datetime) -> SyncRun | None:
    """Take a run that is queued, has waited long enough or lost its worker; None without one."""
    running = sync_runs.c.state == RunState.RUNNING
    free = or_(
        sync_runs.c.state == RunState.QUEUED,
        and_(running, sync_runs.c.waiting_until <= now),
        and_(
            running, sync_runs.c.waiting_until.is_(None), sync_runs.c.claimed_at <= claimed_before
        ),
    )
    first = select(sync_runs.c.id).where(free).order_by(sync_runs.c.id).limit(1)
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == first.scalar_subquery(), free)
        .values(
            state=RunState.RUNNING,
            claimed_at=now,
            claims=sync_runs.c.claims + 1,
            waiting_until=None,
            measured_from=now,
            measured_rows=sync_runs.c.fetched,
        )
        .returning(sync_runs)
    )
    found = row.mappings().first()
    return _run(found) if found else None


def write(conn: Connection, run: SyncRun, **values: Unpack[Progress]) -> bool:
    """Write how the run stands; False when it was cancelled or another worker has it."""
    row = conn.execute(
        update(sync_runs)
        .where(
            sync_runs.c.id == run.id,
            sync_runs.c.state == RunState.RUNNING,
            sync_runs.c.claims == run.claims,
        )
        .values(**values)
    )
    return row.rowcount == 1


def cancel(conn: Connection, run_id: int, *, now: datetime) -> bool:
    """End an open run; the page under way is taken back. False when it was over."""
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == run_id, sync_runs.c.state.in_(OPEN))
        .values(state=RunState.CANCELLED, finished_at=now, waiting_until=None)
    )
    return row.rowcount == 1


def ask_undo(conn: Connection, run_id: int, *, by: str, due_at: datetime) -> bool:
    """Begin an undo, which is ours until `due_at`; False when somebody has begun it."""
    row = conn.execute(
        update(sync_runs)
        .where(
            sync_runs.c.id == run_id,
            sync_runs.c.undone_at.is_(None),
            sync_runs.c.undo_due_at.is_(None),
        )
        .values(undo_due_at=due_at, undone_by=by)
    )
    return row.rowcount == 1


def claim_undo(conn: Connection, *, now: datetime, due_at: datetime) -> SyncRun | None:
    """Go on with an undo that nobody works on, which is ours until `due_at`; None without one."""
    free = sync_runs.c.undo_due_at <= now
    first = select(sync_runs.c.id).where(free).order_by(sync_runs.c.id).limit(1)
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == first.scalar_subquery(), free)
        .values(undo_due_at=due_at)
        .returning(sync_runs)
    )
    found = row.mappings().first()
    return _run(found) if found else None


def write_undo(conn: Connection, run_id: int, *, removed: int = 0, **values: Unpack[Undo]) -> bool:
    """Write how an undo stands, `removed` more tickets taken away; False when it is over."""
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == run_id, sync_runs.c.undo_due_at.is_not(None))
        .values(removed=sync_runs.c.removed + removed, **values)
    )
    return row.rowcount == 1


def streams(conn: Connection, run_id: int) -> list[dict[str, Any]]:
    """The ranges that a run reads, as they were stored; none before it has begun."""
    names = [column for column in sync_streams.c if column.name != "run_id"]
    query = select(*names).where(sync_streams.c.run_id == run_id)
    rows = conn.execute(query.order_by(sync_streams.c.position)).mappings()
    return [dict(row) for row in rows]


def store_streams(conn: Connection, run_id: int, *found: Mapping[str, Any]) -> None:
    """Note how far each of these ranges was read."""
    upsert(conn, sync_streams, [{"run_id": run_id, **stream} for stream in found])


def release_all(conn: Connection, *, long_ago: datetime) -> None:
    """After a restart of the only process: what was under way may be taken again."""
    conn.execute(
        update(sync_runs).where(sync_runs.c.state == RunState.RUNNING).values(claimed_at=long_ago)
    )
    conn.execute(
        update(sync_runs).where(sync_runs.c.undo_due_at.is_not(None)).values(undo_due_at=long_ago)
    )
