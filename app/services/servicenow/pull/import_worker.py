"""Run one import: its limit, its streams, and one transaction per page."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Unpack

from sqlalchemy import Connection as DbConnection
from sqlalchemy.exc import IntegrityError

from app.db import change_cursor, import_runs, incidents, run_rows
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow.bulk import Batch, BulkReader, Stream, streams
from app.integrations.servicenow.call_listeners import latest
from app.integrations.servicenow_client import Query
from app.limits import LIMITS
from app.models.sync_runs import Outcome, RunState, SyncRun
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.pull.import_page import ImportPage, Record, RowCounts
from app.services.servicenow.push.held_creates import notice

INCIDENTS = "/api/now/table/incident"
# Rows read before the limit, because access rules may hide the last one.
EDGE = 50
# Maximum number of reasons that are counted separately.
REASONS = 50
OTHER = "Other reasons (see the report)"
DRY_RUNS_KEPT = 5
VALUES_OF_A_PAGE = 10_000


class LeaseLost(Exception):
    """The run was canceled, or another worker has taken it over."""


class ImportWorker:
    """One claimed run. Stored pages stay if it ends early."""

    def __init__(
        self, context: Context, connection: ConnectionStatus, lookups: Lookups, run: SyncRun
    ) -> None:
        self._context = context
        self._connection = connection
        self._lookups = lookups
        self.run = run

    def work(self, *, stopping: Callable[[], bool]) -> None:
        """Import until all rows are read, or until `stopping`, and then let others continue.

        Raises LeaseLost and ServiceNowError.
        """
        if self.run.started_at is None:
            self._begin()
        with reading(self._context.engine) as conn:
            left = {
                row["position"]: Stream(**row) for row in import_runs.streams(conn, self.run.id)
            }
        reader = BulkReader(
            self._context.connected_client(),
            self._query(),
            mapping.FIELDS,
            self._page,
            page_size=self._page_size(),
        )
        with _collector_spared():
            for batch in self._watched(reader.batches(left.values())):
                left[batch.stream.position] = batch.stream
                self._store(batch, ended=all(stream.finished for stream in left.values()))
                if not self.run.finished and stopping():
                    self.let_go()
                    return

    def _watched(self, batches: Iterator[Batch[ImportPage]]) -> Iterator[Batch[ImportPage]]:
        """Update the connection status with the first page and with a failure."""
        with self._connection.watch():
            first = next(batches)
        yield first
        try:
            yield from batches
        except ServiceNowError:
            with self._connection.watch():
                raise

    # -- before the first page ------------------------------------------------------------------

    def _begin(self) -> None:
        """Determine the total, the newest update time and the end of the `row_limit` rows."""
        run, base = self.run, self._filter()
        newest_first = base.order_by_descending("sys_updated_on").order_by_descending("sys_id")
        with self._connection.watch():
            page = self._context.connected_client().get_incidents(
                newest_first, limit=EDGE, fields=("sys_id", "sys_updated_on", *base.fields)
            )
            _check_fields(base, page.records)
            date = instance_clock.date_of(latest(INCIDENTS))
            beyond = page.total is not None and page.total > run.row_limit
            if beyond or run.updated_from or run.updated_until:
                self._ensure_utc(page.records)
            edge = self._edge(newest_first) if beyond else import_runs.Progress()
        total = page.total if page.total is None else min(page.total, run.row_limit)
        wanted = LIMITS.streams if total is None else -(-total // self._page_size())
        now, stamps = self._context.now(), [stamp for stamp in map(_stamp, page.records) if stamp]
        with writing(self._context.engine) as conn:
            run_rows.forget_dry_runs(conn, before=run.id - DRY_RUNS_KEPT)
            progress: import_runs.Progress = {
                "started_at": now,
                "newest_stamp": instance_clock.reached(stamps, theirs=date, ours=now),
                "total": total,
            }
            self._write_in(conn, **(progress | edge))
            first = (asdict(one) for one in streams(max(1, min(LIMITS.streams, wanted))))
            import_runs.store_streams(conn, run.id, *first)

    def _ensure_utc(self, rows: Sequence[Record]) -> None:
        """Ensure that times in the query are read as UTC. Raises NotUtc."""
        client = self._context.connected_client()
        if not rows:
            newest = Query().order_by_descending("sys_updated_on")
            fields = ("sys_id", "sys_updated_on")
            rows = client.get_incidents(newest, limit=EDGE, fields=fields).records
        instance_clock.ensure_utc(client, rows)

    def _edge(self, newest_first: Query) -> import_runs.Progress:
        """The last visible row of the newest `row_limit` rows."""
        end, span = self.run.row_limit, EDGE
        while end > 0:
            start = max(0, end - span)
            page = self._context.connected_client().get_incidents(
                newest_first,
                limit=end - start,
                offset=start,
                fields=("sys_id", "sys_updated_on"),
            )
            for row in reversed(page.records):
                if stamp := _stamp(row):
                    return {"oldest_stamp": stamp, "oldest_sys_id": row["sys_id"]}
            end, span = start, 10 * span
        # None of them is visible, so only later changes are within the limit.
        return {"oldest_stamp": self._context.now()}

    def _filter(self) -> Query:
        run = self.run
        query = Query.parse(run.query)
        if run.incident_state:
            query = query.any_of("state", run.incident_state.split(","))
        if run.updated_from:
            query = query.at_least("sys_updated_on", mapping.format_stamp(run.updated_from))
        if run.updated_until:
            query = query.at_most("sys_updated_on", mapping.format_stamp(run.updated_until))
        return query

    def _query(self) -> Query:
        query = self._filter()
        if self.run.oldest_stamp:
            stamp = mapping.format_stamp(self.run.oldest_stamp)
            query = query.at_least("sys_updated_on", stamp)
        return query

    def _page_size(self) -> int:
        """The page size that worked for this instance before, else the default."""
        with reading(self._context.engine) as conn:
            row = incidents.connection(conn, self._context.host)
        known = row["page_size"] if row else None
        return min(known or self._context.page_size, self._context.page_size)

    # -- pages ------------------------------------------------------------------------

    def _page(self, records: Sequence[Record]) -> ImportPage:
        within = [record for record in records if not self._beyond_the_edge(record)]
        dialect, importing = self._context.engine.dialect, self.run.import_tickets
        return ImportPage(within, self._lookups.maps(), dialect, importing=importing)

    def _store(self, batch: Batch[ImportPage], *, ended: bool) -> None:
        try:
            self._store_once(batch, ended=ended)
        except IntegrityError:
            # One of these incidents was linked meanwhile. The second attempt finds its ticket.
            self._store_once(batch, ended=ended)

    def _store_once(self, batch: Batch[ImportPage], *, ended: bool) -> None:
        context, run = self._context, self.run
        now = context.now()
        with writing(context.engine) as conn:
            # Before they become tickets: a linked incident is no longer a sign of a restore.
            notice(conn, context.host, context.installation, batch.page.records, now=now)
            row_counts = batch.page.store(conn, run, host=context.host, now=now)
            progress: import_runs.Progress = {
                "claimed_at": now,
                "fetched": run.fetched + len(batch.page),
                "hidden": run.hidden + batch.hidden,
                "reasons": _added(run.reasons, row_counts),
                "stumbles": 0,
                "error": None,
                "created": run.created + row_counts.counts[Outcome.CREATED],
                "updated": run.updated + row_counts.counts[Outcome.UPDATED],
                "unchanged": run.unchanged + row_counts.counts[Outcome.UNCHANGED],
                "skipped": run.skipped + row_counts.counts[Outcome.SKIPPED],
                "failed": run.failed + row_counts.counts[Outcome.FAILED],
            }
            if ended:
                progress |= {"state": RunState.DONE, "finished_at": now}
            self._write_in(conn, **progress)
            import_runs.store_streams(conn, run.id, asdict(batch.stream))
            if run.import_tickets or run.dry_run:
                run_rows.add(conn, run.id, row_counts.rows)
            self._remember(conn, batch, ended=ended)
            after = import_runs.get(conn, run.id)
        self.run = after

    def _remember(self, conn: DbConnection, batch: Batch[ImportPage], *, ended: bool) -> None:
        """Store what the run learned about the instance."""
        context, run = self._context, self.run
        if batch.page_size < context.page_size:
            incidents.remember_connection(conn, context.host, page_size=batch.page_size)
        if ended and not run.dry_run:
            incidents.remember_connection(conn, context.host, fetched_at=context.now())
        if ended and run.whole and run.import_tickets and not run.dry_run and run.newest_stamp:
            change_cursor.raise_watermark(conn, context.host, run.newest_stamp)

    def _beyond_the_edge(self, record: Record) -> bool:
        """True for a row after the last one within the limit, in the same second."""
        run = self.run
        if run.oldest_stamp is None or run.oldest_sys_id is None:
            return False
        same_second = record.get("sys_updated_on") == mapping.format_stamp(run.oldest_stamp)
        return same_second and record["sys_id"].casefold() < run.oldest_sys_id.casefold()

    # -- state ----------------------------------------------------------------------------

    def let_go(self) -> None:
        """Return the run to the queue."""
        self._write(state=RunState.QUEUED)

    def wait(self, exc: ServiceNowError, span: timedelta) -> None:
        """Release the run until the instance may be available again."""
        told = exc.kind is Kind.RATE and exc.retry_after
        self._write(
            waiting_until=self._context.now() + span,
            stumbles=self.run.stumbles if told else self.run.stumbles + 1,
            error=exc.message,
        )

    def fail(self, sentence: str) -> None:
        self._write(state=RunState.FAILED, error=sentence, finished_at=self._context.now())

    def _write(self, **values: Unpack[import_runs.Progress]) -> None:
        with writing(self._context.engine) as conn:
            self._write_in(conn, **values)

    def _write_in(self, conn: DbConnection, **values: Unpack[import_runs.Progress]) -> None:
        """Store values. Raises LeaseLost, which rolls back, if the run was taken over."""
        if not import_runs.write(conn, self.run, **values):
            raise LeaseLost
        self.run = import_runs.get(conn, self.run.id)


@contextmanager
def _collector_spared() -> Iterator[None]:
    """Make the garbage collector run less often and skip existing objects (see `gc.freeze`).

    Without it, collections that find nothing take a tenth of the time of an import.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(VALUES_OF_A_PAGE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _stamp(record: Record) -> datetime | None:
    """The update time of a row; None if it is invalid."""
    try:
        return mapping.parse_stamp(record.get("sys_updated_on", ""))
    except ValueError:
        return None


def _check_fields(query: Query, records: tuple[Record, ...]) -> None:
    """Raise ServiceNowRejected if none of the rows has a field of the query.

    An instance ignores conditions on unknown fields and returns every record.
    """
    for name in query.fields:
        if records and not any(name in record for record in records):
            raise ServiceNowRejected(
                f"The query uses {name}. This field does not exist, or the integration account "
                "cannot read it.",
                kind=Kind.INVALID,
                hint="Check the spelling. ServiceNow ignores conditions on unknown fields.",
            )


def _added(reasons: Mapping[str, int], row_counts: RowCounts) -> dict[str, int]:
    """The sum of both counts. Reasons beyond the maximum are counted together."""
    added = Counter(reasons)
    for reason, count in row_counts.reasons.items():
        added[reason if reason in added or len(added) < REASONS else OTHER] += count
    return dict(added)
