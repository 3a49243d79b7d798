"""Report, cancel and undo an import."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from app.db import import_runs, run_rows
from app.db.engine import reading, writing
from app.errors import Conflict
from app.models.sync_runs import PulledRow, SyncRun
from app.services.servicenow.context import Setup

log = logging.getLogger("app.pulls")
SAMPLES = 20
CHUNK = 1_000
# Seconds. The worker continues an undo that takes longer.
CLICK_SECONDS = 2.0


class Imports:
    """Works on existing import runs. Never calls the instance."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def samples(self, run: SyncRun | None) -> tuple[PulledRow, ...]:
        """Sample rows of a finished dry run, rows with a reason first."""
        if run is None or not (run.dry_run and run.finished):
            return ()
        with reading(self._setup.engine) as conn:
            return run_rows.samples(conn, run.id, limit=SAMPLES)

    def report(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        """All rows of an import or a dry run, in chunks. Raises NotFound at once."""
        with reading(self._setup.engine) as conn:
            import_runs.get(conn, run_id)
        return self._chunks(run_id)

    def _chunks(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        last = ""
        while True:
            with reading(self._setup.engine) as conn:
                found = run_rows.rows(conn, run_id, after=last, limit=CHUNK)
            if not found:
                return
            yield found
            last = found[-1].sys_id

    def cancel(self, run_id: int) -> SyncRun:
        """Cancel a run. The current page is rolled back, earlier pages stay.

        Raises NotFound, and Conflict for a finished run.
        """
        with writing(self._setup.engine) as conn:
            import_runs.get(conn, run_id)
            if not import_runs.cancel(conn, run_id, now=self._setup.now()):
                raise Conflict(f"Import {run_id} is already finished.")
            return import_runs.get(conn, run_id)

    def undo(self, run_id: int, *, by: str) -> SyncRun:
        """Delete the tickets that an import created. The run has the counts.

        Tickets that a person changed or that were sent to ServiceNow are kept. The worker continues
        a long undo, and a second request joins the first. Raises NotFound and Conflict.
        """
        setup = self._setup
        with writing(setup.engine) as conn:
            run = import_runs.get(conn, run_id)
            if not (run.undoable or run.undoing):
                raise Conflict(f"Import {run_id} has no tickets to delete.")
            begun = import_runs.ask_undo(conn, run_id, by=by, due_at=setup.now() + setup.lease)
        if begun:
            until = time.monotonic() + CLICK_SECONDS
            self._go_on(run_id, stopping=lambda: time.monotonic() >= until)
        with reading(setup.engine) as conn:
            return import_runs.get(conn, run_id)

    def undo_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Continue an undo that no process works on. Returns False if there is none."""
        setup = self._setup
        with writing(setup.engine) as conn:
            now = setup.now()
            run = import_runs.claim_undo(conn, now=now, due_at=now + setup.lease)
        if run is None:
            return False
        self._go_on(run.id, stopping=stopping)
        return True

    def _go_on(self, run_id: int, *, stopping: Callable[[], bool]) -> None:
        """Delete in chunks until the end, or until `stopping`, and then let others continue."""
        setup = self._setup
        for rows in self._chunks(run_id):
            if stopping():
                with writing(setup.engine) as conn:
                    import_runs.write_undo(conn, run_id, undo_due_at=setup.now())
                setup.wake()
                return
            with writing(setup.engine) as conn:
                removed = run_rows.remove_untouched(conn, run_id, rows)
                due_at = setup.now() + setup.lease
                import_runs.write_undo(conn, run_id, removed=removed, undo_due_at=due_at)
        self._end_undo(run_id)

    def _end_undo(self, run_id: int) -> None:
        now = self._setup.now()
        with writing(self._setup.engine) as conn:
            run = import_runs.get(conn, run_id)
            pushed = run_rows.kept_pushed(conn, run_id)
            ending: import_runs.Undo = {
                "undo_due_at": None,
                "undone_at": now,
                "kept_touched": run.created - run.removed - pushed,
                "kept_pushed": pushed,
            }
            ended = import_runs.write_undo(conn, run_id, **ending)
        if ended:
            fields = {
                "run": run_id,
                "by": run.undone_by,
                "removed": run.removed,
                "kept_touched": ending["kept_touched"],
                "kept_pushed": pushed,
            }
            log.info("import undone", extra={"fields": fields})
