"""Import runs: cache incidents and, on request, create tickets from them."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.db import import_runs
from app.db.engine import reading, writing
from app.errors import Conflict, DatabaseAway, Invalid, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow.call_listeners import listening
from app.integrations.servicenow_client import Query
from app.models.sync_runs import SyncRun
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import Connection
from app.services.servicenow.context import Setup
from app.services.servicenow.incidents import known_state
from app.services.servicenow.pull.import_worker import Overtaken, Scan
from app.services.servicenow.sync_history import History

log = logging.getLogger("app.pulls")
HIGHEST_LIMIT = 100_000
DEFAULT_LIMIT = 1_000
OUR_FAULT = "An unexpected error stopped the import. The log has details."
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# Temporary errors: the run waits longer each time, and fails after a few.
PASSING = (Kind.BUSY, Kind.NETWORK, Kind.RATE)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
STUMBLES = 6


class Pulls:
    """Starts and runs imports, one at a time. Each page is stored with its progress."""

    def __init__(
        self, setup: Setup, lookups: Lookups, connection: Connection, history: History
    ) -> None:
        self._setup = setup
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
        self._setup.connected_client()
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
        with writing(self._setup.engine) as conn:
            while (open_run := import_runs.find_open(conn) or added) is None:
                added = import_runs.add(conn, now=self._setup.now(), created_by=by, **wanted)
        if any(getattr(open_run, name) != value for name, value in wanted.items()):
            raise Conflict(
                f"Import {open_run.id} is in progress. Wait until it finishes, or cancel it."
            )
        self._setup.wake()
        return open_run

    def get(self, run_id: int) -> SyncRun:
        with reading(self._setup.engine) as conn:
            return import_runs.get(conn, run_id)

    def wait(self, run_id: int, *, seconds: float) -> SyncRun:
        """Wait until the run finishes or waits for the instance, for up to `seconds`."""
        until = time.monotonic() + seconds
        run = self.get(run_id)
        while not (run.finished or run.waiting) and time.monotonic() < until:
            time.sleep(0.1)
            run = self.get(run_id)
        return run

    def recover(self) -> None:
        """Release the claimed run after a restart. Only for a single process."""
        with writing(self._setup.engine) as conn:
            import_runs.release_all(conn, long_ago=LONG_AGO)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Work on the open run until it ends or must wait. Returns False if there is none.

        The run also waits while the circuit breaker is open.
        """
        setup = self._setup
        if setup.client is None or self._connection.rest():
            return False
        with writing(setup.engine) as conn:
            now = setup.now()
            run = import_runs.claim(conn, now=now, claimed_before=now - 2 * setup.lease)
        if run is None:
            return False
        with listening() as calls:
            self._work(Scan(setup, self._connection, self._lookups, run), stopping)
        ended = self.get(run.id)
        if ended.finished:
            self._history.add_run(ended, calls)
        return True

    def _work(self, scan: Scan, stopping: Callable[[], bool]) -> None:
        try:
            self._scan(scan, stopping)
        except Overtaken:
            log.info("import %s was canceled or taken over", scan.run.id)

    def _scan(self, scan: Scan, stopping: Callable[[], bool]) -> None:
        """Run the import. Raises Overtaken and DatabaseAway; the run stores other errors."""
        try:
            scan.work(stopping=stopping)
        except (Overtaken, DatabaseAway):
            raise
        except ServiceNowError as exc:
            span = pause_after(exc, scan.run.stumbles)
            if stopping():
                scan.let_go()
            elif span is None:
                scan.fail(exc.message)
            else:
                scan.wait(exc, span)
        except Exception:  # A failed run must not stop the next one.
            log.exception("import %s failed", scan.run.id)
            scan.fail(OUR_FAULT)


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
