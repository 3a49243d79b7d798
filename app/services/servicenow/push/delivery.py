"""Deliver due outbox items: claim, send once, record the result."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from enum import Enum, auto
from typing import Unpack

from app.db import (
    connection_state,
    events,
    links,
    mappings,
    outbox,
    outbox_releases,
    tickets,
)
from app.db.engine import reading, writing
from app.errors import (
    AnswerLost,
    DatabaseAway,
    HeldBack,
    Kind,
    ServiceNowError,
    ServiceNowUnavailable,
)
from app.integrations.servicenow.call_listeners import Call, listening
from app.integrations.servicenow.mapping import Maps
from app.limits import LIMITS
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.push.attempt import Attempt, Settle
from app.services.servicenow.push.dispatcher import Dispatcher
from app.services.servicenow.push.guards import TooEarly
from app.services.servicenow.push.held_creates import HeldCreates
from app.services.servicenow.sync_history import SyncHistory

log = logging.getLogger("app.outbox")
BATCH = 100
OUR_FAULT = (
    "An unexpected error stopped this update. Press Retry now. "
    "If it fails again, ask an administrator."
)


class DeliveryResult(Enum):
    """The result of one attempt."""

    SENT = auto()
    SOMEBODY_ELSES = auto()
    FAILED = auto()
    OUTAGE = auto()


class Delivery:
    """Delivers outbox items. A write is never repeated without checking its result first."""

    def __init__(
        self,
        context: Context,
        lookups: Lookups,
        connection: ConnectionStatus,
        history: SyncHistory,
        restores: HeldCreates,
    ) -> None:
        self._context = context
        self._history = history
        self._sending = Dispatcher(context, lookups, restores)
        self._connection = connection
        self._clicks = threading.BoundedSemaphore(LIMITS.calls_in_flight)

    def try_now(self, item_id: int, *, probe: bool = False) -> DeliveryResult:
        """Deliver now if a connection is free; otherwise leave it to the worker.

        An open circuit breaker prevents the call, except for `probe`, an explicit retry.
        """
        result = DeliveryResult.SOMEBODY_ELSES
        if self._context.client is not None and self._clicks.acquire(blocking=False):
            try:
                result = self.deliver(item_id, waited_for=True, probe=probe)
            finally:
                self._clicks.release()
        if result is DeliveryResult.SOMEBODY_ELSES:
            self._context.wake()
        return result

    def recover(self) -> None:
        """Release all claims after a restart. Only for a single process."""
        with writing(self._context.engine) as conn:
            now = self._context.now()
            outbox.release_stale(conn, claimed_before=now, now=now)

    def deliver_due(self, *, stopping: Callable[[], bool] = lambda: False) -> int:
        """Deliver due items, oldest first. Returns the number of attempts. Stops at an outage.

        Items of different tickets are sent in parallel, items of one ticket in order.
        """
        tried = 0
        while not stopping() and (due := self._due()):
            outcomes = self._send_side_by_side(due, stopping)
            tried += sum(outcome is not DeliveryResult.SOMEBODY_ELSES for outcome in outcomes)
            if DeliveryResult.SENT not in outcomes or DeliveryResult.OUTAGE in outcomes:
                break
        return tried

    def _due(self) -> Sequence[int]:
        """The ids of due items: the first waiting item of each ticket."""
        context = self._context
        with writing(context.engine) as conn:
            now = context.now()
            outbox.release_stale(conn, claimed_before=now - context.lease, now=now)
            outbox_releases.block_old(conn, context.host, now=now)
        if context.client is None or context.read_only:
            return ()
        with reading(context.engine) as conn:
            connection = connection_state.read(conn, context.host, now=context.now())
            if connection.pause or connection.rest:
                return ()
            held = connection.restore is not None and connection.restore.held
            return outbox.due(conn, now=context.now(), limit=BATCH, held=held)

    def _send_side_by_side(
        self, due: Sequence[int], stopping: Callable[[], bool]
    ) -> Sequence[DeliveryResult]:
        outage = threading.Event()

        def send(item_id: int) -> DeliveryResult:
            if outage.is_set() or stopping():
                return DeliveryResult.SOMEBODY_ELSES
            outcome = self.deliver(item_id)
            if outcome is DeliveryResult.OUTAGE:
                outage.set()
            return outcome

        if len(due) == 1:
            return [send(due[0])]
        with ThreadPoolExecutor(LIMITS.workers, thread_name_prefix="lane") as workers:
            return list(workers.map(send, due))

    def deliver(
        self, item_id: int, *, waited_for: bool = False, probe: bool = True
    ) -> DeliveryResult:
        """Send one item and record the result. Raises only DatabaseAway.

        Without `probe` an open circuit breaker prevents the call.
        """
        attempt = None if self._context.read_only else self._claim(item_id, probe=probe)
        if attempt is None:
            return DeliveryResult.SOMEBODY_ELSES
        with listening() as calls:
            outcome = self._attempt(attempt, calls, waited_for=waited_for)
        if outcome is not DeliveryResult.SENT:
            with writing(self._context.engine) as conn:
                self._history.add_push(conn, attempt.item, calls)
        return outcome

    def _claim(self, item_id: int, *, probe: bool) -> Attempt | None:
        """Claim the item and read everything that its delivery needs, in one transaction."""
        host, now = self._context.host, self._context.now()
        with writing(self._context.engine) as conn:
            connection = connection_state.read(conn, host, now=now)
            if connection.pause or (connection.rest and not probe):
                return None
            held = connection.restore is not None and connection.restore.held
            item = outbox.claim(conn, item_id, now=now, held=held)
            if item is None:
                return None
            known = mappings.find(conn, host)
            ticket = tickets.get(conn, item.ticket_id)
        return Attempt(item, ticket, Maps.of(known.maps if known else None), connection)

    def _attempt(
        self, attempt: Attempt, calls: Sequence[Call], *, waited_for: bool
    ) -> DeliveryResult:
        client, item = self._context.connected_client(), attempt.item
        started = time.monotonic()
        try:
            with self._connection.watch_failures(), client.click(own_slot=waited_for):
                settle = self._sending.send(attempt)
            self._settle(item, settle, calls, latency_ms=int(1000 * (time.monotonic() - started)))
        except (TooEarly, AnswerLost) as exc:
            self._leave_unconfirmed(item, exc)
        except HeldBack as exc:
            self._give_back(item, exc)
            return DeliveryResult.OUTAGE
        except ServiceNowUnavailable as exc:
            self._postpone(item, exc)
            return DeliveryResult.OUTAGE
        except ServiceNowError as exc:
            self._block(item, exc.message, exc.kind)
        except DatabaseAway:
            # It may have been sent. When the lease expires, the result is checked.
            raise
        except Exception:  # One bad row must not stop the rest of the queue.
            log.exception("outbox item %s failed", item.id)
            self._block(item, OUR_FAULT, Kind.OUR_FAULT)
        else:
            return DeliveryResult.SENT
        return DeliveryResult.FAILED

    def _settle(
        self, item: OutboxItem, settle: Settle, calls: Sequence[Call], *, latency_ms: int
    ) -> None:
        """Record the success with its history. Raises the error that a person must resolve."""
        context, wrote = self._context, any(call.writes for call in calls)
        with writing(context.engine) as conn:
            trouble = settle(conn)
            if trouble is None:
                recovered = self._connection.note_success(conn, latency_ms)
                self._history.add_push(conn, item, calls)
                now = context.now()
                held = outbox_releases.waiting(conn, context.host, now=now, wrote=wrote)
        if trouble is not None:
            raise trouble
        if held:
            # Other rows of the outbox are not locked beside the ticket.
            with writing(context.engine) as conn:
                outbox_releases.release(conn, context.host, now=context.now(), wrote=wrote)
        if held or recovered or item.kind is OutboxKind.CREATE:
            context.wake()

    # -- results ----------------------------------------------------------------------

    def _leave_unconfirmed(self, item: OutboxItem, exc: Exception) -> None:
        """Mark as unconfirmed: check again soon, send again only after the settle time."""
        context = self._context
        now = context.now()
        since = now if isinstance(exc, AnswerLost) else item.unconfirmed_since or now
        again = now + outbox.backoff(item.attempts, first=context.first_retry)
        self._fail(
            item,
            OutboxState.UNCONFIRMED,
            str(exc),
            Kind.UNCONFIRMED,
            unconfirmed_since=since,
            not_before=min(again, since + context.settle),
        )

    def _give_back(self, item: OutboxItem, exc: HeldBack) -> None:
        """Return the item to the queue unchanged, because no call was made."""
        wait = timedelta(seconds=exc.retry_after) if exc.retry_after else self._context.first_retry
        with writing(self._context.engine) as conn:
            outbox.give_back(conn, item, not_before=self._context.now() + wait)

    def _postpone(self, item: OutboxItem, exc: ServiceNowUnavailable) -> None:
        wait = outbox.backoff(item.attempts, first=self._context.first_retry)
        asked_for = timedelta(seconds=exc.retry_after or 0)
        not_before = self._context.now() + max(wait, min(asked_for, outbox.LONGEST_DELAY))
        state = OutboxState.UNCONFIRMED if item.unconfirmed_since else OutboxState.PENDING
        self._fail(item, state, exc.message, exc.kind, not_before=not_before)

    def _block(self, item: OutboxItem, error: str, kind: Kind) -> None:
        self._fail(item, OutboxState.BLOCKED, error, kind)

    def _fail(
        self,
        item: OutboxItem,
        state: OutboxState,
        error: str,
        kind: Kind,
        **again: Unpack[outbox.NextTry],
    ) -> None:
        with writing(self._context.engine) as conn:
            if outbox.fail(conn, item, state, error=error, kind=kind, **again):
                links.note_failure(conn, item.ticket_id, error)
                if state is OutboxState.BLOCKED or item.attempts == 1:
                    told = f"Not sent to ServiceNow: {error}"
                    events.add_event(conn, item.ticket_id, told, now=self._context.now())
