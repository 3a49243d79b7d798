"""Exchanges with an instance: sent once over a free slot, reads repeated on passing trouble."""

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import tenacity

from app.errors import Kind, ServiceNowError, ServiceNowUnavailable, TooSlow
from app.integrations.servicenow.answers import transport_failure
from app.integrations.servicenow.call_listeners import Call, heard
from app.integrations.servicenow.pool import ConnectionPool, closing
from app.integrations.servicenow.rate_limiter import RateLimiter

Answer = TypeVar("Answer")
log = logging.getLogger("app.servicenow")

ATTEMPTS = 4
LONGEST_WAIT = 8.0
# A read is not repeated with less time than this, in seconds.
LEAST_LEFT = 0.5
NO_HEADERS: Mapping[str, str] = {}
# Kinds after which the same read may work a moment later.
PASSING = (Kind.BUSY, Kind.RATE, Kind.NETWORK)


class Calls:
    """How a call goes out; what it asks for is its caller's."""

    def __init__(
        self,
        slots: ConnectionPool,
        rate_limiter: RateLimiter,
        *,
        sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = slots
        self._rate_limiter = rate_limiter
        self._sleep = slots.pause if sleep is None else sleep
        self._monotonic = monotonic

    def repeated(self, once: Callable[[], Answer], *, slow_too: bool = True) -> Answer:
        """A read, repeated on passing trouble as long as the one deadline of all tries allows.

        Without `slow_too` a query that the instance cancelled is not asked again as it is.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda exc: self._worth_repeating(exc) and (slow_too or type(exc) is not TooSlow)
            ),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=self._pause,
            sleep=self._sleep,
            reraise=True,
        )
        with self._slots.deadline():
            return retrying(once)

    def _worth_repeating(self, exc: BaseException) -> bool:
        if not isinstance(exc, ServiceNowUnavailable) or exc.kind not in PASSING:
            return False
        asked_for = exc.retry_after or 0.0
        return asked_for <= LONGEST_WAIT and asked_for + LEAST_LEFT < self._slots.left()

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """What the instance asked for, else exponential backoff with full jitter.

        Never up to the deadline: the call after it would only find that no time is left.
        """
        exc = state.outcome.exception() if state.outcome else None
        asked_for = exc.retry_after if isinstance(exc, ServiceNowError) else None
        if asked_for is not None:
            return asked_for
        longest = min(LONGEST_WAIT, self._slots.left() - LEAST_LEFT)
        return random.uniform(0, max(0.0, min(longest, 0.25 * 2**state.attempt_number)))

    def once(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One exchange, logged without query and body.

        Raises ServiceNowError without an answer, HeldBack where no call may be made now.
        """
        started = self._monotonic()

        def ended(status: object, headers: Mapping[str, str] = NO_HEADERS) -> None:
            call = Call(
                method,
                path,
                str(status),
                transaction=headers.get("X-Transaction-ID", "")[:40],
                ms=round(1000 * (self._monotonic() - started)),
                sent=options.get("json") or {},
                date=headers.get("Date", ""),
            )
            _tell(call)

        with self._slots.deadline(), self._slots.take() as slot:
            if not self._slots.for_a_person():
                self._rate_limiter.hold_back(under_way=self._slots.under_way())
            deadline = {"deadline": time.monotonic() + self._slots.left()}
            try:
                response = slot.request(method, path, extensions=deadline, **options)
            except httpx.HTTPError as exc:
                left_us = method != "GET" and exc.request.url.path == path
                ended(type(exc).__name__)
                if self._slots.closed and not left_us:
                    raise closing() from exc
                raise transport_failure(exc, write=left_us) from exc
            except ServiceNowError as exc:
                ended(exc.kind)
                raise
            self._rate_limiter.learn(response)
        # Read to its end, it would only hold the response that holds it: a cycle of a megabyte.
        response.stream = httpx.ByteStream(b"")
        ended(response.status_code, response.headers)
        return response


def _tell(call: Call) -> None:
    heard(call)
    names = ("method", "path", "status", "ms", "transaction")
    fields = {name: getattr(call, name) for name in names}
    level = logging.DEBUG if call.status.startswith("2") else logging.INFO
    log.log(level, "servicenow call", extra={"fields": fields})
