"""Import runs: cache incidents and, on request, create tickets from them."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from app.db import import_runs
from app.db.engine import reading, writing
from app.errors import Conflict, DatabaseAway, Invalid, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow.call_listeners import listening
from app.integrations.servicenow_client import Query
from app.models.sync_runs import PulledRow, SyncRun
from app.models.views import ImportView
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.incidents import known_state
from app.services.servicenow.pull.import_report import ImportReport
from app.services.servicenow.pull.import_undo import ImportUndo
from app.services.servicenow.pull.import_worker import ImportWorker, LeaseLost
from app.services.servicenow.sync_history import SyncHistory

log = logging.getLogger("app.pulls")
HIGHEST_LIMIT = 100_000
DEFAULT_LIMIT = 1_000
OUR_FAULT = "An unexpected error stopped the import. The log has details."
IN_PROGRESS = "Import {run} is in progress. Wait until it finishes, or cancel it."
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# Temporary errors: the run waits longer each time, and fails after a few.
PASSING = (Kind.BUSY, Kind.NETWORK, Kind.RATE)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
STUMBLES = 6


class Imports:
    """Starts and runs imports, one at a time. Each page is stored with its progress."""

    def __init__(
        self,
        context: Context,
        lookups: Lookups,
        connection: ConnectionStatus,
        history: SyncHistory,
        report: ImportReport,
    ) -> None:
        self._context = context
        self._report = report
        self._undo = ImportUndo(context, report)
        self._history = history
        self._lookups = lookups
        self._connection = connection

    def start(
        self,
        *,
        by: str,
        limit: int = DEFAULT_LIMIT,
        query: str = "",
        state: str = "",
        import_tickets: bool = False,
        dry_run: bool = False,
        updated_from: datetime | None = None,
        updated_until: datetime | None = None,
    ) -> SyncRun:
        """Queue a run, or return the same one if it is open.

        `state` is one or more values or labels, separated by commas. A dry run writes no ticket and
        no incident. `updated_from` and `updated_until` bound the last update, both inclusive.
        Raises NotConfigured, Invalid, and Conflict while another run is open.
        """
        self._context.connected_client()
        _check_limit(limit)
        _check_query(query.strip())
        _check_days(updated_from, updated_until)
        wanted: import_runs.Wanted = {
            "row_limit": limit,
            "query": query.strip(),
            "incident_state": _known_states(state),
            "import_tickets": import_tickets,
            "dry_run": dry_run,
            "updated_from": updated_from,
            "updated_until": updated_until,
        }
        added = None
        with writing(self._context.engine) as conn:
            while (open_run := import_runs.find_open(conn) or added) is None:
                added = import_runs.add(conn, now=self._context.now(), created_by=by, **wanted)
        if any(getattr(open_run, name) != value for name, value in wanted.items()):
            raise Conflict(IN_PROGRESS.format(run=open_run.id))
        self._context.wake()
        return open_run

    def get(self, run_id: int) -> SyncRun:
        with reading(self._context.engine) as conn:
            return import_runs.get(conn, run_id)

    def wait(self, run_id: int, *, seconds: float) -> SyncRun:
        """Wait until the run finishes or waits for the instance, for up to `seconds`."""
        until = time.monotonic() + seconds
        run = self.get(run_id)
        while not (run.finished or run.waiting) and time.monotonic() < until:
            time.sleep(0.1)
            run = self.get(run_id)
        return run

    def cancel(self, run_id: int) -> SyncRun:
        """Cancel a run. The current page is rolled back, earlier pages stay.

        Raises NotFound, and Conflict for a finished run.
        """
        with writing(self._context.engine) as conn:
            import_runs.get(conn, run_id)
            if not import_runs.cancel(conn, run_id, now=self._context.now()):
                raise Conflict(f"Import {run_id} is already finished.")
            return import_runs.get(conn, run_id)

    def undo(self, run_id: int, *, by: str) -> SyncRun:
        """Delete the tickets that an import created. Raises NotFound, Conflict."""
        return self._undo.undo(run_id, by=by)

    def undo_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Continue an undo that nobody works on; False when there was none."""
        return self._undo.undo_due(stopping=stopping)

    def report(self, run_id: int) -> Iterator[Sequence[PulledRow]]:
        """Every row of an import or a dry run, in chunks. Raises NotFound at once."""
        return self._report.rows(run_id)

    def view(self, run: SyncRun | None) -> ImportView:
        """What the import card shows of a run."""
        return self._report.view(run)

    def recover(self) -> None:
        """Release the claimed run after a restart. Only for a single process."""
        with writing(self._context.engine) as conn:
            import_runs.release_all(conn, long_ago=LONG_AGO)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Work on the open run until it ends or must wait. Returns False if there is none.

        The run also waits while the circuit breaker is open.
        """
        context = self._context
        if context.client is None or self._connection.rest():
            return False
        with writing(context.engine) as conn:
            now = context.now()
            run = import_runs.claim(conn, now=now, claimed_before=now - 2 * context.lease)
        if run is None:
            return False
        with listening() as calls:
            self._work(ImportWorker(context, self._connection, self._lookups, run), stopping)
        ended = self.get(run.id)
        if ended.finished:
            self._history.add_run(ended, calls)
        return True

    def _work(self, worker: ImportWorker, stopping: Callable[[], bool]) -> None:
        try:
            self._run(worker, stopping)
        except LeaseLost:
            log.info("import %s was canceled or taken over", worker.run.id)

    def _run(self, worker: ImportWorker, stopping: Callable[[], bool]) -> None:
        """Run the import. Raises LeaseLost and DatabaseAway; the run stores other errors."""
        try:
            worker.work(stopping=stopping)
        except (LeaseLost, DatabaseAway):
            raise
        except ServiceNowError as exc:
            span = pause_after(exc, worker.run.stumbles)
            if stopping():
                worker.let_go()
            elif span is None:
                worker.fail(exc.message)
            else:
                worker.wait(exc, span)
        except Exception:  # A failed run must not stop the next one.
            log.exception("import %s failed", worker.run.id)
            worker.fail(OUR_FAULT)


def pause_after(exc: ServiceNowError, stumbles: int) -> timedelta | None:
    """How long a run waits after so many errors; None if waiting would not help."""
    if exc.kind is Kind.RATE and exc.retry_after:
        return timedelta(seconds=exc.retry_after)
    if exc.kind not in PASSING or stumbles >= STUMBLES:
        return None
    return min(LONGEST_WAIT, FIRST_WAIT * float(2**stumbles))


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= HIGHEST_LIMIT:
        raise Invalid(
            f"The maximum number must be between 1 and {HIGHEST_LIMIT:,}.",
            fields={"limit": f"Enter a number from 1 to {HIGHEST_LIMIT:,}."},
        )


def _check_query(query: str) -> None:
    try:
        Query.parse(query)
    except ServiceNowRejected as exc:
        raise Invalid(
            "The import was not started.",
            fields={"query": exc.message},
            hint=exc.hint,
        ) from exc


def _check_days(first: datetime | None, last: datetime | None) -> None:
    if first and last and first > last:
        raise Invalid(
            "The date range is empty.",
            fields={"updated_until": "Enter a date on or after “Updated from”."},
        )


def _known_states(text: str) -> str:
    """State values separated by commas. Raises Invalid with the unknown one."""
    return ",".join(dict.fromkeys(known_state(one) for one in text.split(",") if one.strip()))
