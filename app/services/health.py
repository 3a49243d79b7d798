"""Is this installation ready: database, migrations, worker."""

import time
from collections.abc import Callable, Iterable

from sqlalchemy import Engine

from app.db import migrate
from app.db.engine import reading
from app.errors import DatabaseAway
from app.models.views import Check

LEAST_PATIENCE = 60.0


class HealthService:
    """What a load balancer asks of this process; the jobs of its worker report here.

    `longest_step` is how many seconds a healthy job may work between two beats.
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
        """Each of these jobs has to beat from now on."""
        self._beats |= dict.fromkeys(jobs)

    def beat(self, job: str) -> None:
        """A sign of life of one job."""
        self._beats[job] = self._monotonic()

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
        except DatabaseAway:
            return "The database cannot be reached."
        return ""

    def _migrations(self) -> str:
        return "" if migrate.at_head(self._engine) else "Migrations are missing."

    def _worker(self) -> str:
        """The job that has been silent for longest, if that is too long."""
        beats = {job: beat for job, beat in self._beats.items() if beat is not None}
        missing = sorted(self._beats.keys() - beats.keys())
        if missing or not beats:
            return f"The worker has not started: {', '.join(missing) or 'no job'}."
        job = min(beats, key=lambda name: beats[name])
        silent = self._monotonic() - beats[job]
        if silent > self._patience:
            return f"The job “{job}” of the worker has been silent for {int(silent)} seconds."
        return ""
