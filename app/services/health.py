"""Is this installation ready: database, migrations, worker."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.db import heartbeats, migrate
from app.db.engine import reading, utc_now, writing
from app.models import Check

LEAST_PATIENCE = timedelta(seconds=60)
# A beat is written this often at most: an idle desk need not write all day.
BEAT_EVERY = timedelta(seconds=10)


class HealthService:
    """The worker's pulse, and what a load balancer asks."""

    def __init__(
        self, engine: Engine, *, worker_seconds: float, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = engine
        self._patience = max(LEAST_PATIENCE, timedelta(seconds=3 * worker_seconds))
        self._now = now
        self._last_beats: dict[str, datetime] = {}

    def beat(self, name: str) -> None:
        """A sign of life of the worker's thread `name`."""
        now = self._now()
        last = self._last_beats.get(name)
        if last is not None and now - last < BEAT_EVERY:
            return
        with writing(self._engine) as conn:
            heartbeats.store(conn, name, now=now)
        self._last_beats[name] = now

    def checks(self) -> tuple[Check, ...]:
        """Database, migrations, worker; those behind a failed one are skipped."""
        steps = {
            "database": self._database,
            "migrations": self._migrations,
            "worker": self._worker,
        }
        found: list[Check] = []
        for name, step in steps.items():
            if found and found[-1].status != "passed":
                found.append(Check(name, "skipped", "A check before it failed."))
                continue
            trouble = step()
            found.append(Check(name, "failed" if trouble else "passed", trouble))
        return tuple(found)

    def _database(self) -> str:
        try:
            with reading(self._engine) as conn:
                conn.exec_driver_sql("SELECT 1")
        except SQLAlchemyError:
            return "The database cannot be reached."
        return ""

    def _migrations(self) -> str:
        return "" if migrate.at_head(self._engine) else "Migrations are missing."

    def _worker(self) -> str:
        with reading(self._engine) as conn:
            newest = heartbeats.find_newest(conn)
        if newest is None:
            return "The worker has not started."
        silent = self._now() - newest
        if silent > self._patience:
            return f"The worker has been silent for {int(silent.total_seconds())} seconds."
        return ""
