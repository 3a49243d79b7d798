"""Undo of an import: deletes its new tickets, keeps those that people changed."""

import logging
import time
from collections.abc import Callable

from app.db import import_runs, run_rows
from app.db.engine import reading, writing
from app.errors import Conflict
from app.models.sync_runs import SyncRun
from app.services.servicenow.context import Context
from app.services.servicenow.pull.import_report import ImportReport

log = logging.getLogger("app.pulls")
# Seconds. The worker continues an undo that takes longer.
CLICK_SECONDS = 2.0


class ImportUndo:
    """Deletes the tickets that a run created. Calls no instance."""

    def __init__(self, context: Context, report: ImportReport) -> None:
        self._context = context
        self._report = report

    def undo(self, run_id: int, *, by: str) -> SyncRun:
        """Delete the tickets that an import created. The run has the counts.

        Tickets that a person changed or that were sent to ServiceNow are kept. The worker continues
        a long undo, and a second request joins the first. Raises NotFound and Conflict.
        """
        context = self._context
        with writing(context.engine) as conn:
            run = import_runs.get(conn, run_id)
            if not (run.undoable or run.undoing):
                raise Conflict(f"Import {run_id} has no tickets to delete.")
            begun = import_runs.ask_undo(conn, run_id, by=by, due_at=context.now() + context.lease)
        if begun:
            until = time.monotonic() + CLICK_SECONDS
            self._go_on(run_id, stopping=lambda: time.monotonic() >= until)
        with reading(context.engine) as conn:
            return import_runs.get(conn, run_id)

    def undo_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Continue an undo that no process works on. Returns False if there is none."""
        context = self._context
        with writing(context.engine) as conn:
            now = context.now()
            run = import_runs.claim_undo(conn, now=now, due_at=now + context.lease)
        if run is None:
            return False
        self._go_on(run.id, stopping=stopping)
        return True

    def _go_on(self, run_id: int, *, stopping: Callable[[], bool]) -> None:
        """Delete in chunks until the end, or until `stopping`, and then let others continue."""
        context = self._context
        for rows in self._report.chunks(run_id):
            if stopping():
                with writing(context.engine) as conn:
                    import_runs.write_undo(conn, run_id, undo_due_at=context.now())
                context.wake()
                return
            with writing(context.engine) as conn:
                removed = run_rows.remove_untouched(conn, run_id, rows)
                due_at = context.now() + context.lease
                import_runs.write_undo(conn, run_id, removed=removed, undo_due_at=due_at)
        self._end_undo(run_id)

    def _end_undo(self, run_id: int) -> None:
        now = self._context.now()
        with writing(self._context.engine) as conn:
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
