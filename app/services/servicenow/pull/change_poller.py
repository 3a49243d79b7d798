"""Check for incoming changes: by watermark, and fully by sys_id once a day."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Unpack

from sqlalchemy import Connection as DbConnection

from app.db import change_cursor, connection_switches
from app.db.engine import reading, writing
from app.errors import (
    DatabaseAway,
    HeldBack,
    Kind,
    ServiceNowError,
    ServiceNowRejected,
    ServiceNowUnavailable,
)
from app.integrations.servicenow import mapping
from app.integrations.servicenow.call_listeners import latest, listening
from app.integrations.servicenow_client import IncidentPage, Query
from app.models.conflicts import Values
from app.models.incoming_changes import IncomingState, IncomingView
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.merge.reconcile import older
from app.services.servicenow.pull.apply_changes import ChangeApplier, Record
from app.services.servicenow.pull.change_cursor import ChangeCursor

log = logging.getLogger("app.pulls")
PAGE = 100
INCIDENTS = "/api/now/table/incident"
# Read again each time, because long transactions commit late and node clocks differ.
OVERLAP = timedelta(minutes=3)
# Read again sometimes, for transactions that commit even later.
LONG_OVERLAP = timedelta(minutes=15)
BETWEEN_LONG_OVERLAPS = timedelta(minutes=10)
BETWEEN_SWEEPS = timedelta(hours=24)
# Maximum number of pages of a full check between two checks by watermark.
SWEPT_AT_ONCE = 50
OUR_FAULT = "An unexpected error stopped the check. The log has details."
CLOSED = (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)


class LeaseLost(Exception):
    """Another process has taken over the check."""


class IncomingChanges:
    """Runs one check at a time per instance.

    Each page is stored with its watermark in one transaction, so a stopped check continues there.
    """

    def __init__(self, context: Context, lookups: Lookups, connection: ConnectionStatus) -> None:
        self._context = context
        self._lookups = lookups
        self._connection = connection

    def view(self) -> IncomingView:
        """The status of incoming changes, without a call."""
        host = self._context.host
        with reading(self._context.engine) as conn:
            state, pulling = change_cursor.find(conn, host), connection_switches.pulling(conn, host)
        return IncomingView(state, self._context.pull_every, pulling, self._context.now())

    def ask(self) -> None:
        """Request a check at the next worker run. Raises NotConfigured."""
        self._context.connected_client()
        with writing(self._context.engine) as conn:
            change_cursor.ask(conn, self._context.host, now=self._context.now())
        self._context.wake()

    def switch(self, *, on: bool) -> None:
        """Turn incoming changes on or off. Raises NotConfigured."""
        self._context.connected_client()
        with writing(self._context.engine) as conn:
            connection_switches.switch_pulling(conn, self._context.host, on=on)
            if on:
                # Changes made while it was off have old update times: only a full check finds them.
                change_cursor.sweep_again(conn, self._context.host)

    def recover(self) -> None:
        """Release the claim after a restart. Only for a single process."""
        with writing(self._context.engine) as conn:
            change_cursor.release(conn, self._context.host)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Run the check if it is due. Returns False if not, or if the circuit breaker is open."""
        context = self._context
        if context.client is None or self._connection.rest():
            return False
        with writing(context.engine) as conn:
            now = context.now()
            state = change_cursor.claim(
                conn,
                context.host,
                now=now,
                claimed_before=now - 2 * context.lease,
                scheduled=context.pull_every is not None,
            )
        if state is None:
            return False
        turn = Turn(context, state)
        try:
            if refusal := self._work(turn, stopping):
                self._fail(turn, refusal)
                return True
            # Stopped with this process: the remaining part is due at once.
            due_at = context.now() if stopping() else self._next(turn.state)
            turn.end(error=None, due_at=due_at)
        except LeaseLost:
            log.info("another process took over the check for changes")
        except ServiceNowError as exc:
            self._fail(turn, exc.message, after=_asked_for(exc))
        except (
            DatabaseAway
        ):  # A later check continues after the last page, once the lease has expired.
            raise
        except Exception:  # A failed check must not stop the next one.
            log.exception("the check for changes failed")
            self._fail(turn, OUR_FAULT)
        return True

    def _work(self, turn: "Turn", stopping: Callable[[], bool]) -> str:
        """Check by watermark, then fully. Returns why queries by time are not possible, or ""."""
        refusal = ""
        try:
            with listening():
                try:
                    self._pull(turn, stopping)
                except instance_clock.NotUtc as exc:
                    refusal = f"{exc.message} {exc.hint}"
                self._sweep(turn, stopping)
        except HeldBack:
            if not stopping():
                raise
        return refusal

    # -- check by watermark -------------------------------------------------------------------

    def _pull(self, turn: "Turn", stopping: Callable[[], bool]) -> None:
        """Read and store all changes since the watermark, page by page. Raises ServiceNowError."""
        turn.write(rows=0, hidden=0, ahead_at=None)
        start = turn.state.watermark or self._start(turn)
        if start is None:
            return
        now, far = self._context.now(), self._looks_far_back(turn.state)
        since = mapping.format_stamp(start - (LONG_OVERLAP if far else OVERLAP))
        matching = 0
        for page in ChangeCursor(self._page, page_size=PAGE).since(since):
            if not page.matching or any(early(row, since) for row in page.records):
                # The row at the watermark must be included, and no earlier row.
                instance_clock.ensure_utc(self._context.connected_client(), self._newest().records)
            self._store(turn, page.records, since=since)
            matching = page.matching
            if stopping():
                return
        hidden = max(0, matching - turn.state.rows)
        self._follow_clock(turn, start)
        done: change_cursor.Progress = {"pulled_at": self._context.now(), "hidden": hidden}
        if far:
            done["looked_back_at"] = now
        turn.write(**done)

    def _looks_far_back(self, state: IncomingState) -> bool:
        last = state.looked_back_at
        return last is None or self._context.now() >= last + BETWEEN_LONG_OVERLAPS

    def _follow_clock(self, turn: "Turn", start: datetime) -> None:
        """If the instance's clock was set back, move the watermark back as much."""
        theirs, before = instance_clock.date_of(latest(INCIDENTS)), turn.state.clock_ahead
        if theirs is None:
            return
        now = round((theirs - self._context.now()).total_seconds())
        watermark = turn.state.watermark
        if step := instance_clock.set_back(before, now):
            watermark = min(filter(None, (watermark, start - step)))
        turn.write(clock_ahead=now, watermark=watermark)

    def _start(self, turn: "Turn") -> datetime | None:
        """The newest update time as first watermark. The full check reads older rows."""
        page = self._newest()
        theirs = instance_clock.date_of(latest(INCIDENTS))
        instance_clock.ensure_utc(self._context.connected_client(), page.records)
        stamps = stamps_of(page.records)
        turn.write(
            watermark=instance_clock.reached(stamps, theirs=theirs, ours=self._context.now())
        )
        return turn.state.watermark

    def _newest(self) -> IncidentPage:
        newest = Query().order_by_descending("sys_updated_on").order_by_descending("sys_id")
        return self._page(newest, limit=PAGE, offset=0)

    def _page(self, query: Query, *, limit: int, offset: int) -> IncidentPage:
        client = self._context.connected_client()
        with self._connection.watch():
            return client.get_incidents(query, limit=limit, offset=offset, fields=mapping.FIELDS)

    def _store(
        self,
        turn: "Turn",
        records: Sequence[Record],
        *,
        since: str = "",
        asked: Sequence[str] = (),
    ) -> None:
        """Store one page. `asked` are the sys_ids of a page of the full check."""
        context = self._context
        maps = self._lookups.maps()
        stamps, date = stamps_of(records), instance_clock.date_of(latest(INCIDENTS))
        records, seen = self._confirmed(records)
        journal, standing = self._journal(turn.state, records, since)
        page = latest(INCIDENTS)
        progress: change_cursor.Progress = {"journal": standing}
        if asked:
            progress["sweep_after"] = asked[-1]
        else:
            progress |= self._reached(turn.state, stamps, date)
            progress["rows"] = turn.state.rows + len(records)
        with writing(context.engine) as conn:
            applier = ChangeApplier(
                conn,
                context.host,
                context.installation,
                maps,
                connection_switches.pulling(conn, context.host),
                context.now(),
                calls=(page,) if page else (),
                known=seen,
            )
            applier.store(records, journal)
            shown = {row["sys_id"] for row in records}
            applier.miss([sys_id for sys_id in asked if sys_id not in shown])
            progress["claimed_at"] = context.now()
            turn.write_in(conn, **progress)

    def _reached(
        self, state: IncomingState, stamps: Sequence[datetime], date: datetime | None
    ) -> change_cursor.Progress:
        """The watermark after this page, and its newest update time in the future."""
        now = self._context.now()
        known = [state.watermark] if state.watermark else []
        return {
            "watermark": instance_clock.reached([*stamps, *known], theirs=date, ours=now),
            "ahead_at": instance_clock.ahead(stamps, theirs=date, ours=now) or state.ahead_at,
        }

    def _confirmed(
        self, records: Sequence[Record]
    ) -> tuple[Sequence[Record], Mapping[str, Values]]:
        """Read rows again that are older than a version seen before.

        Such a row is a late response. If it is returned again, the incident itself went back.
        """
        with reading(self._context.engine) as conn:
            seen = change_cursor.seen(conn, self._context.host, [row["sys_id"] for row in records])
        lower = [
            sys_id
            for row in records
            if older(mapping.seen_of(row), seen.get(sys_id := row["sys_id"], {}))
        ]
        if not lower:
            return records, {}
        query = Query().any_of("sys_id", lower).order_by("sys_id")
        page = self._page(query, limit=PAGE, offset=0)
        again = {row["sys_id"]: row for row in page.records}
        confirmed = [again.get(row["sys_id"], row) for row in records]
        return confirmed, {sys_id: seen[sys_id] for sys_id in lower if sys_id in again}

    def _journal(
        self, state: IncomingState, records: Sequence[Record], since: str
    ) -> tuple[Sequence[Record], str]:
        """The journal rows of the linked incidents, and whether the account can read the table.

        A closed table often returns no rows although it counts some, or although a work note of
        this app must be there.
        """
        with reading(self._context.engine) as conn:
            sys_ids = change_cursor.linked_ids(
                conn, self._context.host, [r["sys_id"] for r in records]
            )
        if not sys_ids:
            return (), state.journal
        try:
            page = self._context.connected_client().journal_of(sys_ids, since=since)
        except ServiceNowRejected as exc:
            if exc.kind not in CLOSED:
                raise
            return (), "closed"
        if page.records:
            return page.records, "open"
        ours = not since and any(mapping.is_our_create(record) for record in records)
        return (), "closed" if page.total or ours else state.journal

    # -- full check -----------------------------------------------------------------------------

    def _sweep(self, turn: "Turn", stopping: Callable[[], bool]) -> None:
        """Read all known incidents by sys_id.

        Some changes have no new update time, and deleted incidents leave no trace.
        """
        context, last = self._context, turn.state.swept_at
        due = last is None or context.now() >= last + BETWEEN_SWEEPS
        for _ in range(SWEPT_AT_ONCE if due or turn.state.sweep_after else 0):
            if stopping():
                return
            with reading(context.engine) as conn:
                after = turn.state.sweep_after
                known = change_cursor.known_ids(conn, context.host, after=after, limit=PAGE)
                gone = change_cursor.count_missing(conn, context.host)
            if not known:
                turn.write(swept_at=context.now(), sweep_after="", gone=gone)
                return
            query = Query().any_of("sys_id", known).order_by("sys_id")
            page = self._page(query, limit=PAGE, offset=0)
            wanted = set(known)
            records = [row for row in page.records if row["sys_id"] in wanted]
            self._store(turn, records, asked=known)

    def _next(self, state: IncomingState) -> datetime | None:
        """The time of the next check; None if checks are not scheduled."""
        if state.sweep_after:
            return self._context.now()
        every = self._context.pull_every
        return self._context.now() + every if every else None

    def _fail(self, turn: "Turn", error: str, *, after: timedelta = timedelta()) -> None:
        context = self._context
        wait = max(context.pull_every or context.first_retry, context.first_retry, after)
        try:
            turn.end(error=error, due_at=context.now() + wait)
        except LeaseLost:
            log.info("another process took over the check for changes")


class Turn:
    """The claim of one check, with its progress."""

    def __init__(self, context: Context, state: IncomingState) -> None:
        self._context = context
        self._due_at = state.due_at
        self.state = state

    def write(self, **values: Unpack[change_cursor.Progress]) -> None:
        """Store progress. Raises LeaseLost if another process has taken over."""
        with writing(self._context.engine) as conn:
            self.write_in(conn, **values)

    def write_in(self, conn: DbConnection, **values: Unpack[change_cursor.Progress]) -> None:
        """As `write`, in the transaction of the caller, which must roll back on LeaseLost."""
        after = change_cursor.write(conn, self.state, **values)
        if after is None:
            raise LeaseLost
        self.state = after

    def end(self, *, error: str | None, due_at: datetime | None) -> None:
        """End the check. A check requested meanwhile stays due."""
        due = change_cursor.unless_asked(self._due_at, due_at)
        self.write(error=error, due_at=due, claimed_at=None)


def early(row: Record, since: str) -> bool:
    """True for a row updated before the requested time."""
    return "" < row.get("sys_updated_on", "") < since


def stamps_of(records: Sequence[Record]) -> list[datetime]:
    """The update times of the records, without invalid ones."""
    found = []
    for record in records:
        with suppress(ValueError):
            found.append(mapping.parse_stamp(record.get("sys_updated_on", "")))
    return found


def _asked_for(exc: ServiceNowError) -> timedelta:
    seconds = exc.retry_after if isinstance(exc, ServiceNowUnavailable) else 0
    return timedelta(seconds=seconds or 0)
