"""The levers of an import: look at its rows, stop it, take it back."""

import logging
from collections.abc import Iterator
from itertools import islice

from app.db import links, runs
from app.db.engine import reading, writing
from app.errors import Conflict
from app.models import Outcome, PulledRow, SyncRun
from app.services.servicenow.setup import Setup

log = logging.getLogger("app.pulls")
SAMPLES = 20
CHUNK = 500


class Imports:
    """Works on runs that `Pulls` started; never calls the instance."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def samples(self, run: SyncRun | None) -> tuple[PulledRow, ...]:
        """Some rows of a finished dry run, those with a reason first."""
        if run is None or not (run.dry_run and run.finished):
            return ()
        with reading(self._setup.engine) as conn:
            return runs.samples(conn, run.id, limit=SAMPLES)

    def report(self, run_id: int) -> Iterator[PulledRow]:
        """Every row of an import or a dry run, read page by page. Raises NotFound at once."""
        with reading(self._setup.engine) as conn:
            runs.get(conn, run_id)
        return self._rows(run_id)

    def _rows(self, run_id: int) -> Iterator[PulledRow]:
        last = ""
        while True:
            with reading(self._setup.engine) as conn:
                found = runs.rows(conn, run_id, after=last)
            yield from found
            if not found:
                return
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

    def undo(self, run_id: int, *, by: str) -> tuple[int, int]:
        """Take an import's new tickets away again: how many went and how many were kept.

        Kept is what a person touched since or what owes a push. Raises NotFound, Conflict.
        """
        with writing(self._setup.engine) as conn:
            run = runs.get(conn, run_id)
            if not run.undoable or not runs.mark_undone(conn, run_id, now=self._setup.now()):
                raise Conflict(f"Run {run_id} made no tickets that could be taken away.")
        removed = 0
        for rows in _chunks(self._rows(run_id)):
            made = [row.ticket_id for row in rows if row.outcome is Outcome.CREATED]
            with writing(self._setup.engine) as conn:
                removed += links.remove_untouched(conn, [one for one in made if one is not None])
        log.info("import undone", extra={"fields": {"run": run_id, "by": by, "removed": removed}})
        return removed, run.created - removed


def _chunks(rows: Iterator[PulledRow]) -> Iterator[list[PulledRow]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
