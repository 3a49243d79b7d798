"""Readiness checks: database, migrations, worker."""

import time
from collections.abc import Callable, Iterable

from sqlalchemy import Engine

from app.db import migrate
from app.db.engine import reading
from app.errors import DatabaseAway
from app.models.views import Check

LEAST_PATIENCE = 60.0


class HealthService:
    """Readiness of this process; the worker's jobs report their heartbeats to it.

    `longest_step` is the longest time in seconds between two heartbeats of a healthy job.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        longest_step: float = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._patience = max(LEAST_PATIENCE, longest_step)
        self._monotonic = monotonic
        self._beats: dict[str, float | None] = {}

    def expect(self, jobs: Iterable[str]) -> None:
        """Require a heartbeat of each of these jobs from now on."""
        self._beats |= dict.fromkeys(jobs)

    def beat(self, job: str) -> None:
        """Record a heartbeat of one job."""
        self._beats[job] = self._monotonic()

    def checks(self) -> tuple[Check, ...]:
        """Check database, migrations and worker; checks after a failed one are skipped."""
        steps = {
            "database": self._database,
            "migrations": self._migrations,
            "worker": self._worker,
        }
        found: list[Check] = []
        for name, step in steps.items():
            if found and found[-1].status != "passed":
                found.append(Check(name, "skipped", "Skipped because an earlier check failed."))
                continue
            trouble = step()
            found.append(Check(name, "failed" if trouble else "passed", trouble))
        return tuple(found)

    def _database(self) -> str:
        try:
            with reading(self._engine) as conn:
                conn.exec_driver_sql("SELECT 1")
        except DatabaseAway:
            return "Cannot reach the database."
        return ""

    def _migrations(self) -> str:
        if migrate.at_head(self._engine):
            return ""
        return "Database migrations are pending. Restart the app to apply them."

    def _worker(self) -> str:
        """An error if a job has not started, or the longest silent job is silent for too long."""
        beats = {job: beat for job, beat in self._beats.items() if beat is not None}
        missing = sorted(self._beats.keys() - beats.keys())
        if missing or not beats:
            return f"The background worker has not started: {', '.join(missing) or 'no job'}."
        job = min(beats, key=lambda name: beats[name])
        silent = self._monotonic() - beats[job]
        if silent > self._patience:
            return f"The worker job “{job}” has not reported for {int(silent)} seconds."
        return ""
