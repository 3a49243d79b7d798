"""Sync runs: one row per pull, with its progress."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, or_, select, update

from app.db.tables import sync_rows, sync_runs
from app.errors import NotFound
from app.models import Outcome, PulledRow, RunState, SyncRun

OPEN = (RunState.QUEUED, RunState.RUNNING)


def _run(row: RowMapping) -> SyncRun:
    names = SyncRun.__dataclass_fields__
    values = {name: row[name] for name in names}
    return SyncRun(**values | {"state": RunState(row["state"])})


def add(conn: Connection, *, now: datetime, **values: Any) -> SyncRun:
    """Queue one run."""
    row = conn.execute(
        sync_runs.insert()
        .values(
            state=RunState.QUEUED,
            last_sys_id="",
            reasons={},
            created_at=now,
            **values,
        )
        .returning(sync_runs)
    )
    return _run(row.mappings().one())


def get(conn: Connection, run_id: int) -> SyncRun:
    row = conn.execute(select(sync_runs).where(sync_runs.c.id == run_id)).mappings().first()
    if row is None:
        raise NotFound(f"There is no sync run {run_id}.")
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
    """Take a queued run, or one whose worker died; None when there is none."""
    free = or_(
        sync_runs.c.state == RunState.QUEUED,
        and_(sync_runs.c.state == RunState.RUNNING, sync_runs.c.claimed_at <= claimed_before),
    )
    first = select(sync_runs.c.id).where(free).order_by(sync_runs.c.id).limit(1)
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == first.scalar_subquery(), free)
        .values(state=RunState.RUNNING, claimed_at=now)
        .returning(sync_runs)
    )
    found = row.mappings().first()
    return _run(found) if found else None


def write(conn: Connection, run: SyncRun, *, last_seen: str, **values: Any) -> bool:
    """Write a page's progress; False when another worker went on from `last_seen`."""
    row = conn.execute(
        update(sync_runs)
        .where(
            sync_runs.c.id == run.id,
            sync_runs.c.state == RunState.RUNNING,
            sync_runs.c.last_sys_id == last_seen,
        )
        .values(**values)
    )
    return row.rowcount == 1


def cancel(conn: Connection, run_id: int, *, now: datetime) -> bool:
    """End an open run; the page under way is taken back. False when it was over."""
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == run_id, sync_runs.c.state.in_(OPEN))
        .values(state=RunState.CANCELLED, finished_at=now)
    )
    return row.rowcount == 1


def mark_undone(conn: Connection, run_id: int, *, now: datetime) -> bool:
    """False when it was undone before."""
    row = conn.execute(
        update(sync_runs)
        .where(sync_runs.c.id == run_id, sync_runs.c.undone_at.is_(None))
        .values(undone_at=now)
    )
    return row.rowcount == 1


def add_rows(conn: Connection, run_id: int, found: Sequence[PulledRow]) -> None:
    """What became of the rows of one page."""
    if found:
        values = [asdict(row) | {"run_id": run_id} for row in found]
        conn.execute(sync_rows.insert(), values)


def rows(
    conn: Connection, run_id: int, *, after: str = "", limit: int = 1_000
) -> tuple[PulledRow, ...]:
    """The rows of a run in sys_id order, a thousand at a time."""
    query = select(sync_rows).where(sync_rows.c.run_id == run_id, sync_rows.c.sys_id > after)
    found = conn.execute(query.order_by(sync_rows.c.sys_id).limit(limit)).mappings()
    return tuple(_row(row) for row in found)


def samples(conn: Connection, run_id: int, *, limit: int) -> tuple[PulledRow, ...]:
    """Some rows to look at: those with a reason first."""
    query = (
        select(sync_rows)
        .where(sync_rows.c.run_id == run_id)
        .order_by(sync_rows.c.reason == "", sync_rows.c.outcome, sync_rows.c.sys_id)
    )
    return tuple(_row(row) for row in conn.execute(query.limit(limit)).mappings())


def _row(row: RowMapping) -> PulledRow:
    return PulledRow(
        sys_id=row["sys_id"],
        number=row["number"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        ticket_id=row["ticket_id"],
    )


def release_all(conn: Connection, *, long_ago: datetime) -> None:
    """After a restart of the only process: every running run may be taken again."""
    conn.execute(
        update(sync_runs).where(sync_runs.c.state == RunState.RUNNING).values(claimed_at=long_ago)
    )
