"""Pulls: incidents into the mirror, and as tickets when an admin wants them."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection as DbConnection

from app.db import runs
from app.db.engine import reading, writing
from app.errors import Conflict, Invalid, ServiceNowError, ServiceNowRejected
from app.integrations import servicenow_mapping as mapping
from app.integrations.servicenow_client import Query
from app.integrations.servicenow_listening import listening
from app.models import Outcome, RunState, SyncRun
from app.services.servicenow.connection import Connection
from app.services.servicenow.history import History
from app.services.servicenow.importing import Page, Record, Tally
from app.services.servicenow.lookups import Lookups
from app.services.servicenow.reads import known_state
from app.services.servicenow.setup import Setup

log = logging.getLogger("app.pulls")
HIGHEST_LIMIT = 100_000
DEFAULT_LIMIT = 1_000
OUR_FAULT = "Something broke on our side during this pull. The log tells more."
# Rows before the limit that are looked at: access rules may hide the very last one.
EDGE = 50
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Overtaken(Exception):
    """The run was cancelled, or another worker goes on with it."""


class Pulls:
    """One run at a time, page by page, each page in one transaction with its progress."""

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
        """Queue a run, or join the same one that is open.

        `state` is a value or label, or several with commas between; a dry run writes no ticket
        and no incident. The moments bound the incidents' last update, both included.
        Raises NotConfigured, Invalid, ServiceNowRejected for a query that cannot be used, and
        Conflict while another run is open.
        """
        self._setup.connected_client()
        if not 1 <= limit <= HIGHEST_LIMIT:
            raise Invalid(
                f"The limit must lie between 1 and {HIGHEST_LIMIT:,}.",
                fields={"limit": f"1 to {HIGHEST_LIMIT:,}"},
            )
        wanted = {
            "row_limit": limit,
            "query": query.strip(),
            "incident_state": _known_states(state),
            "import_tickets": import_tickets,
            "dry_run": dry_run,
            "updated_from": updated_from,
            "updated_until": updated_until,
        }
        if updated_from and updated_until and updated_from > updated_until:
            raise Invalid(
                "The dates leave nothing over.",
                fields={"updated_until": "This must not lie before the first date."},
            )
        Query.parse(query.strip())
        with writing(self._setup.engine) as conn:
            open_run = runs.find_open(conn)
            if open_run is None:
                open_run = runs.add(conn, now=self._setup.now(), created_by=by, **wanted)
            elif any(getattr(open_run, name) != value for name, value in wanted.items()):
                raise Conflict(f"Another pull (run {open_run.id}) is under way. Wait for its end.")
        self._setup.wake()
        return open_run

    def get(self, run_id: int) -> SyncRun:
        with reading(self._setup.engine) as conn:
            return runs.get(conn, run_id)

    def wait(self, run_id: int, *, seconds: float) -> SyncRun:
        """The run when it has ended, or as it stands after `seconds`."""
        until = time.monotonic() + seconds
        run = self.get(run_id)
        while not run.finished and time.monotonic() < until:
            time.sleep(0.1)
            run = self.get(run_id)
        return run

    def recover(self) -> None:
        """After a restart of the only process: go on with the run that was under way."""
        with writing(self._setup.engine) as conn:
            runs.release_all(conn, long_ago=LONG_AGO)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Work on the open run until it ends; False when there was none."""
        setup = self._setup
        if setup.client is None:
            return False
        with writing(setup.engine) as conn:
            now = setup.now()
            run = runs.claim(conn, now=now, claimed_before=now - 2 * setup.lease)
        if run is None:
            return False
        with listening() as calls:
            self._work(run, stopping)
        ended = self.get(run.id)
        if ended.finished:
            self._history.add_run(ended, calls)
        return True

    def _work(self, run: SyncRun, stopping: Callable[[], bool]) -> None:
        try:
            while not run.finished and not stopping():
                run = self._next_page(run)
            if run.state is RunState.DONE:
                self._connection.remember_fetch()
        except Overtaken:
            log.info("run %s was cancelled or taken over", run.id)
        except ServiceNowError as exc:
            self._end(run, RunState.FAILED, error=exc.message)
        except Exception:  # A broken run must not stop the runs after it.
            log.exception("run %s broke", run.id)
            self._end(run, RunState.FAILED, error=OUR_FAULT)

    def _end(self, run: SyncRun, state: RunState, *, error: str | None = None) -> None:
        with writing(self._setup.engine) as conn:
            current = runs.get(conn, run.id)
            finished_at = self._setup.now()
            runs.write(
                conn,
                run,
                last_seen=current.last_sys_id,
                state=state,
                error=error,
                finished_at=finished_at,
            )

    def _next_page(self, run: SyncRun) -> SyncRun:
        """Read and store one page; the answer is the run as it stands then."""
        if run.started_at is None:
            run = self._begin(run)
        wanted = min(self._setup.page_size, run.row_limit - run.fetched)
        records, more = self._read(run, wanted) if wanted > 0 else ((), False)
        now = self._setup.now()
        maps = self._lookups.maps()
        tally = Tally()
        found = []
        for record in records:
            try:
                found.append((mapping.incident_from_record(record), record))
            except ServiceNowRejected as exc:
                tally.add(record, Outcome.FAILED, reason=exc.message)
        with writing(self._setup.engine) as conn:
            page = Page(conn, self._setup.host, now, tally, maps, writes=not run.dry_run)
            page.store(run, found)
            self._write_progress(conn, run, tally, records, now=now, more=more)
            return runs.get(conn, run.id)

    def _write_progress(
        self,
        conn: DbConnection,
        run: SyncRun,
        tally: Tally,
        records: Sequence[Record],
        *,
        now: datetime,
        more: bool,
    ) -> None:
        """Raises Overtaken, which takes the page back, when the run is not ours any more."""
        counts = {one.value: getattr(run, one.value) + tally.counts[one] for one in Outcome}
        written = runs.write(
            conn,
            run,
            last_seen=run.last_sys_id,
            claimed_at=now,
            last_sys_id=records[-1]["sys_id"] if records else run.last_sys_id,
            fetched=run.fetched + len(records),
            reasons=dict(Counter(run.reasons) + tally.reasons),
            **counts,
            **({} if more else {"state": RunState.DONE, "finished_at": now}),
        )
        if not written:
            raise Overtaken
        if run.import_tickets or run.dry_run:
            runs.add_rows(conn, run.id, tally.rows)

    def _begin(self, run: SyncRun) -> SyncRun:
        """Count, and find how far back the newest `row_limit` rows reach."""
        client = self._setup.connected_client()
        base = self._filter(run)
        newest = base.order_by_descending("sys_updated_on").order_by_descending("sys_id")
        with self._connection.watch():
            page = client.get_incidents(
                newest,
                limit=min(EDGE, run.row_limit),
                offset=max(0, run.row_limit - EDGE),
                fields=("sys_id", "sys_updated_on"),
            )
        beyond = page.total is None or page.total > run.row_limit
        stamps = [row["sys_updated_on"] for row in page.records if row.get("sys_updated_on")]
        oldest = mapping.parse_stamp(stamps[-1]) if stamps and beyond else None
        total = min(page.total, run.row_limit) if page.total is not None else None
        with writing(self._setup.engine) as conn:
            runs.write(
                conn,
                run,
                last_seen=run.last_sys_id,
                started_at=self._setup.now(),
                oldest_stamp=oldest,
                total=total,
            )
            return runs.get(conn, run.id)

    def _filter(self, run: SyncRun) -> Query:
        query = Query.parse(run.query)
        if run.incident_state:
            query = query.any_of("state", run.incident_state.split(","))
        if run.updated_from:
            query = query.at_least("sys_updated_on", mapping.format_stamp(run.updated_from))
        if run.updated_until:
            query = query.at_most("sys_updated_on", mapping.format_stamp(run.updated_until))
        return query

    def _read(self, run: SyncRun, wanted: int) -> tuple[tuple[Record, ...], bool]:
        """The next rows in sys_id order, and whether there are more.

        Access rules act after the limit, so a short or empty page is not the end: an empty one
        is stepped over until the instance's own count is reached (servicenow.md 5.6).
        """
        client = self._setup.connected_client()
        query = self._filter(run)
        if run.oldest_stamp:
            stamp = mapping.format_stamp(run.oldest_stamp)
            query = query.at_least("sys_updated_on", stamp)
        if run.last_sys_id:
            query = query.greater_than("sys_id", run.last_sys_id)
        query = query.order_by("sys_id")
        offset = 0
        while True:
            with self._connection.watch():
                page = client.get_incidents(
                    query, limit=wanted, offset=offset, fields=mapping.FIELDS
                )
            offset += wanted
            end = page.total is not None and offset >= page.total
            if page.records:
                return page.records, not end and run.fetched + len(page.records) < run.row_limit
            if end or page.total is None:
                return (), False


def _known_states(text: str) -> str:
    """State values with commas between. Raises Invalid naming the one that is none."""
    return ",".join(dict.fromkeys(known_state(one) for one in text.split(",") if one.strip()))
