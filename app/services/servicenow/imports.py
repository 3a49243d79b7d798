"""The levers of an import: look at its rows, stop it, take it back."""

import logging
from collections.abc import Iterator, Sequence

from app.db import pulled, runs
from app.db.engine import reading, writing
from app.errors import Conflict
from app.models import PulledRow, SyncRun
from app.services.servicenow.setup import Setup

log = logging.getLogger("app.pulls")
SAMPLES = 20
CHUNK = 1_000


class Imports:
    """Works on runs that `Pulls` started; never calls the instance."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def samples(self, run: SyncRun | None) -> tuple[PulledRow, ...]:
        """Some rows of a finished dry run, those with a reason first."""
        if run is None or not (run.dry_run and run.finished):
            return ()
        with reading(self._setup.engine) as conn:
            return pulled.samples(conn, run.id, limit=SAMPLES)

    def report(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        """Every row of an import or a dry run, chunk by chunk. Raises NotFound at once."""
        with reading(self._setup.engine) as conn:
            runs.get(conn, run_id)
        return self._chunks(run_id)

    def _chunks(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        last = ""
        while True:
            with reading(self._setup.engine) as conn:
                found = pulled.rows(conn, run_id, after=last, limit=CHUNK)
            if not found:
                return
            yield found
            last = found[-1].sys_id

    def cancel(self, run_id: int) -> SyncRun:
        """End a run within its page, which is taken back; what was stored before stays.

        Raises NotFound, Conflict for a run that is over.
        """
        with writing(self._setup.engine) as conn:
            runs.get(conn, run_id)
            if not runs.cancel(conn, run_id, now=self._setup.now()):
                raise Conflict(f"Run {run_id} is over; there is nothing to cancel.")
            return runs.get(conn, run_id)

    def undo(self, run_id: int, *, by: str) -> SyncRun:
        """Take an import's new tickets away again; the run says how many, and what was kept.

        Kept is what a person touched since or what was pushed. A second click, or the next one
        after a crash, goes on where the first left off. Raises NotFound, Conflict.
        """
        run = self._undoable(run_id)
        for rows in self._chunks(run_id):
            with writing(self._setup.engine) as conn:
                pulled.remove_untouched(conn, rows)
        with writing(self._setup.engine) as conn:
            touched, pushed = pulled.kept(conn, run_id)
            removed = run.created - touched - pushed
            counts = {"removed": removed, "kept_touched": touched, "kept_pushed": pushed}
            if not runs.mark_undone(conn, run_id, now=self._setup.now(), **counts):
                raise _nothing_to_undo(run_id)
            after = runs.get(conn, run_id)
        log.info("import undone", extra={"fields": {"run": run_id, "by": by, **counts}})
        return after

    def _undoable(self, run_id: int) -> SyncRun:
        with reading(self._setup.engine) as conn:
            run = runs.get(conn, run_id)
        if not run.undoable:
            raise _nothing_to_undo(run_id)
        return run


def _nothing_to_undo(run_id: int) -> Conflict:
    return Conflict(f"Run {run_id} made no tickets that could be taken away.")
