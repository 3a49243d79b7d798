"""Changes that come in by themselves: pulled by watermark, and swept by sys_id once a day."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.db import incoming, switches
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowError, ServiceNowRejected, ServiceNowUnavailable
from app.integrations import servicenow_mapping as mapping
from app.integrations.servicenow_client import Query
from app.integrations.servicenow_listening import latest, listening
from app.models import IncomingState, IncomingView
from app.services.servicenow.arriving import Arrival, Record
from app.services.servicenow.connection import Connection
from app.services.servicenow.following import Following
from app.services.servicenow.lookups import Lookups
from app.services.servicenow.setup import Setup

log = logging.getLogger("app.pulls")
PAGE = 100
INCIDENTS = "/api/now/table/incident"
# Read again, for long transactions there commit late and the clocks of their nodes differ.
OVERLAP = timedelta(minutes=3)
BETWEEN_SWEEPS = timedelta(hours=24)
# Pages of a sweep between two pulls.
SWEPT_AT_ONCE = 50
OUR_FAULT = "Something broke on our side during this pull. The log tells more."
CLOSED = (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)


class Overtaken(Exception):
    """Somebody else goes on with it."""


class Incoming:
    """One pull at a time per instance, page by page, each page with its watermark in one
    transaction: whatever dies, the next one goes on from there.
    """

    def __init__(self, setup: Setup, lookups: Lookups, connection: Connection) -> None:
        self._setup = setup
        self._lookups = lookups
        self._connection = connection

    def view(self) -> IncomingView:
        """How it stands, without a call."""
        host = self._setup.host
        with reading(self._setup.engine) as conn:
            state, pulling = incoming.find(conn, host), switches.pulling(conn, host)
        return IncomingView(state, self._setup.pull_every, pulling, self._setup.now())

    def ask(self) -> None:
        """Pull as soon as the worker looks, scheduled or not. Raises NotConfigured."""
        self._setup.connected_client()
        with writing(self._setup.engine) as conn:
            incoming.ask(conn, self._setup.host, now=self._setup.now())
        self._setup.wake()

    def switch(self, *, on: bool) -> None:
        """Whether changes there are taken into tickets by themselves. Raises NotConfigured."""
        self._setup.connected_client()
        with writing(self._setup.engine) as conn:
            switches.switch_pulling(conn, self._setup.host, on=on)
            if on:
                # What changed meanwhile was not taken, and carries no new stamp.
                incoming.sweep_again(conn, self._setup.host)

    def recover(self) -> None:
        """After a restart of the only process: nobody is pulling, whatever the row says."""
        with writing(self._setup.engine) as conn:
            incoming.release(conn, self._setup.host)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Pull what changed and sweep when that is due; False when nothing was."""
        setup = self._setup
        if setup.client is None:
            return False
        with writing(setup.engine) as conn:
            now = setup.now()
            state = incoming.claim(
                conn,
                setup.host,
                now=now,
                claimed_before=now - 2 * setup.lease,
                scheduled=setup.pull_every is not None,
            )
        if state is None:
            return False
        try:
            with self._connection.watch(), listening():
                state = self._pull(state, stopping)
                self._sweep(state, stopping)
        except Overtaken:
            log.info("another process goes on with the pull of changes")
        except ServiceNowError as exc:
            self._fail(exc.message, after=_asked_for(exc))
        except Exception:  # A broken pull must not stop the next one.
            log.exception("the pull of changes broke")
            self._fail(OUR_FAULT)
        return True

    # -- pulling ------------------------------------------------------------------------------

    def _pull(self, state: IncomingState, stopping: Callable[[], bool]) -> IncomingState:
        """Everything since the watermark, a page at a time."""
        client = self._setup.connected_client()
        state = self._write(state, rows=0, hidden=0)
        if state.watermark is None:
            state = self._start(state)
        if state.watermark is None:
            return self._write(state, pulled_at=self._setup.now(), error=None)
        since = mapping.format_stamp(state.watermark - OVERLAP)
        matching = 0
        for page in Following(client, page_size=PAGE).since(since):
            state = self._store(state, page.records, since=since)
            matching = page.matching
            if stopping():
                return state
        hidden = max(0, matching - state.rows)
        return self._write(state, pulled_at=self._setup.now(), error=None, hidden=hidden)

    def _start(self, state: IncomingState) -> IncomingState:
        """Where nothing was read yet, the newest stamp there is; the sweep looks at the rest."""
        newest = Query().order_by_descending("sys_updated_on").order_by_descending("sys_id")
        page = self._setup.connected_client().get_incidents(
            newest, limit=PAGE, fields=("sys_id", "sys_updated_on"), count=False
        )
        stamps = [row["sys_updated_on"] for row in page.records if row.get("sys_updated_on")]
        return self._write(state, watermark=mapping.parse_stamp(max(stamps)) if stamps else None)

    def _store(
        self,
        state: IncomingState,
        records: Sequence[Record],
        *,
        since: str = "",
        asked: Sequence[str] = (),
        **values: Any,
    ) -> IncomingState:
        """One page into the database; `asked` are the sys_ids of a page of a sweep."""
        setup = self._setup
        maps = self._lookups.maps()
        journal, standing = self._journal(state, records, since)
        now = setup.now()
        page = latest(INCIDENTS)
        calls = (page,) if page else ()
        stamps = [row["sys_updated_on"] for row in records if row.get("sys_updated_on")]
        if stamps and not asked:
            newest = mapping.parse_stamp(max(stamps))
            values["watermark"] = max(newest, state.watermark or newest)
            values["rows"] = state.rows + len(records)
        with writing(setup.engine) as conn:
            pulling = switches.pulling(conn, setup.host)
            arrival = Arrival(conn, setup.host, setup.installation, maps, pulling, now, calls=calls)
            arrival.store(records, journal)
            shown = {row["sys_id"] for row in records}
            arrival.miss([sys_id for sys_id in asked if sys_id not in shown])
            after = incoming.write(conn, state, claimed_at=now, journal=standing, **values)
            if after is None:
                raise Overtaken
        return after

    def _journal(
        self, state: IncomingState, records: Sequence[Record], since: str
    ) -> tuple[Sequence[Record], str]:
        """The notes of the linked incidents among these, in one request, and whether the table
        is open to us. A closed one often just answers no rows, where it counts some or where
        the note of our own create must be.
        """
        with reading(self._setup.engine) as conn:
            sys_ids = incoming.linked_ids(conn, self._setup.host, [r["sys_id"] for r in records])
        if not sys_ids:
            return (), state.journal
        try:
            page = self._setup.connected_client().journal_of(sys_ids, since=since)
        except ServiceNowRejected as exc:
            if exc.kind not in CLOSED:
                raise
            return (), "closed"
        if page.records:
            return page.records, "open"
        ours = not since and any(mapping.is_our_create(record) for record in records)
        return (), "closed" if page.total or ours else state.journal

    # -- sweeping -----------------------------------------------------------------------------

    def _sweep(self, state: IncomingState, stopping: Callable[[], bool]) -> None:
        """Look at what we know, by sys_id: some changes carry no new stamp, and what was deleted
        leaves no trace.
        """
        setup = self._setup
        client = setup.connected_client()
        due = state.swept_at is None or setup.now() >= state.swept_at + BETWEEN_SWEEPS
        for _ in range(SWEPT_AT_ONCE if due or state.sweep_after else 0):
            if stopping():
                break
            with reading(setup.engine) as conn:
                known = incoming.known_ids(conn, setup.host, after=state.sweep_after, limit=PAGE)
            if not known:
                state = self._end_sweep(state)
                break
            query = Query().any_of("sys_id", known).order_by("sys_id")
            page = client.get_incidents(query, limit=PAGE, fields=mapping.FIELDS)
            wanted = set(known)
            records = [row for row in page.records if row["sys_id"] in wanted]
            state = self._store(state, records, asked=known, sweep_after=known[-1])
        self._write(state, claimed_at=None, due_at=self._next(state))

    def _end_sweep(self, state: IncomingState) -> IncomingState:
        with reading(self._setup.engine) as conn:
            gone = incoming.count_missing(conn, self._setup.host)
        return self._write(state, swept_at=self._setup.now(), sweep_after="", gone=gone)

    # -- writing --------------------------------------------------------------------------------

    def _next(self, state: IncomingState) -> datetime | None:
        """When to look again; never by itself where it is not scheduled."""
        if state.sweep_after:
            return self._setup.now()
        every = self._setup.pull_every
        return self._setup.now() + every if every else None

    def _write(self, state: IncomingState, **values: Any) -> IncomingState:
        with writing(self._setup.engine) as conn:
            after = incoming.write(conn, state, **values)
        if after is None:
            raise Overtaken
        return after

    def _fail(self, error: str, *, after: timedelta = timedelta()) -> None:
        setup = self._setup
        wait = max(setup.pull_every or setup.first_retry, setup.first_retry, after)
        with writing(setup.engine) as conn:
            state = incoming.find(conn, setup.host)
            due_at = setup.now() + wait
            incoming.write(conn, state, error=error, claimed_at=None, due_at=due_at)


def _asked_for(exc: ServiceNowError) -> timedelta:
    seconds = exc.retry_after if isinstance(exc, ServiceNowUnavailable) else 0
    return timedelta(seconds=seconds or 0)
