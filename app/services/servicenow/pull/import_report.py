"""The rows of an import or a dry run, as people read and download them."""

from collections.abc import Iterator, Sequence

from app.db import import_runs, run_rows, search
from app.db.engine import reading
from app.models.sync_runs import PulledRow, SyncRun
from app.models.views import ImportView
from app.services.servicenow.context import Context

SAMPLES = 20
CHUNK = 1_000


class ImportReport:
    """Reads what a run stored about each incident. Calls no instance."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def view(self, run: SyncRun | None) -> ImportView:
        """The run with sample rows of a dry run, rows with a reason first."""
        if run is None or not run.finished:
            return ImportView(run)
        with reading(self._context.engine) as conn:
            if run.dry_run:
                return ImportView(run, samples=run_rows.samples(conn, run.id, limit=SAMPLES))
            return ImportView(run, unindexed=search.count_unindexed(conn) if run.created else 0)

    def rows(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        """All rows of an import or a dry run, in chunks. Raises NotFound at once."""
        with reading(self._context.engine) as conn:
            import_runs.get(conn, run_id)
        return self.chunks(run_id)

    def chunks(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        last = ""
        while True:
            with reading(self._context.engine) as conn:
                found = run_rows.rows(conn, run_id, after=last, limit=CHUNK)
            if not found:
                return
            yield found
            last = found[-1].sys_id
