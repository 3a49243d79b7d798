"""Call slots of one instance: how many calls are in flight, with which session, until when."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

import httpx

from app.errors import HeldBack, Kind
from app.integrations.bounded_http import MEGABYTE, BoundedTransport
from app.integrations.servicenow.auth import OAuth
from app.limits import LIMITS

# A page of 1,000 incidents has 1 to 5 MB.
MAX_ANSWER_MB = 16.0
HEADERS = {"Accept": "application/json", "User-Agent": "smart-it-copilot"}


@dataclass(slots=True)
class _Deadline:
    """Until when everything inside a block must be answered (monotonic seconds)."""

    at: float
    own_slot: bool


_deadline: ContextVar[_Deadline | None] = ContextVar("servicenow_deadline", default=None)


def build_slots(
    *,
    url: str,
    auth: httpx.Auth,
    ca_file: str | None = None,
    timeout: float,
    count: int = LIMITS.calls_in_flight,
    max_answer_mb: float = MAX_ANSWER_MB,
    proxy_for: Callable[[str], str] = lambda _: "",
    transport: httpx.BaseTransport | None = None,
) -> list[httpx.Client]:
    """One client per call in flight: an instance serves the calls of one session one at a time.

    They share the connections and the sign-in; each has its own cookies. TLS is always verified,
    redirects are never followed. `proxy_for` answers the proxy of an address, "" for none.
    Raises OSError when `ca_file` cannot be used.
    """
    transport = transport or BoundedTransport(
        max_bytes=int(max_answer_mb * MEGABYTE), tls=_tls_context(ca_file), proxy_for=proxy_for
    )
    if isinstance(auth, OAuth):
        auth.transport = transport
    return [
        httpx.Client(base_url=url, auth=auth, transport=transport, timeout=timeout, headers=HEADERS)
        for _ in range(count)
    ]


@cache
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def closing() -> HeldBack:
    """The error of calls that the end of the app interrupts or keeps from being made."""
    return HeldBack("The app is shutting down.", kind=Kind.BUSY, hint="Try again in a moment.")


class ConnectionPool:
    """A few clients, one call each at a time; one is kept for people's clicks."""

    def __init__(
        self,
        clients: Sequence[httpx.Client],
        *,
        click_seconds: float,
        bulk_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = tuple(clients)
        self._free = list(clients)
        self._identities = {id(client): 0 for client in clients}
        self._condition = threading.Condition()
        self._click_seconds = click_seconds
        self._bulk_seconds = bulk_seconds
        self._monotonic = monotonic
        self.closed = False

    def close(self) -> None:
        """End every wait and every call, those under way too."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()
        for client in self._clients:
            client.close()

    @contextmanager
    def click(self, *, own_slot: bool, seconds: float | None = None) -> Iterator[None]:
        """All calls inside share one deadline: waiting, retries and all.

        It is `click_seconds` from now, or `seconds` if that is sooner.
        With `own_slot` they are a person's, who may use the slot that is kept and the last calls
        that a rate rule allows.
        """
        lasts = min(self._click_seconds, seconds or self._click_seconds)
        made = _Deadline(self._monotonic() + lasts, own_slot)
        token = _deadline.set(made)
        try:
            yield
        finally:
            _deadline.reset(token)

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """All inside ends with the click around it, or else within `bulk_seconds` from now."""
        if _deadline.get():
            yield
            return
        token = _deadline.set(_Deadline(self._monotonic() + self._bulk_seconds, own_slot=False))
        try:
            yield
        finally:
            _deadline.reset(token)

    def pause(self, seconds: float) -> None:
        """Wait between two tries, no longer than the client is open."""
        with self._condition:
            self._condition.wait_for(lambda: self.closed, seconds)

    def left(self) -> float:
        """Seconds until the deadline; without one, what a bulk page may take; 0 when closed."""
        deadline = _deadline.get()
        if self.closed:
            return 0.0
        return deadline.at - self._monotonic() if deadline else self._bulk_seconds

    def for_a_person(self) -> bool:
        """True inside a click; other calls are the background's."""
        deadline = _deadline.get()
        return deadline is not None and deadline.own_slot

    def under_way(self) -> int:
        """How many calls have a client at this moment."""
        with self._condition:
            return len(self._clients) - len(self._free)

    @contextmanager
    def take(self) -> Iterator[httpx.Client]:
        """One of the clients, for one call. Raises HeldBack when none is free in time."""
        kept = 0 if len(self._clients) == 1 or self.for_a_person() else 1
        with self._condition:
            free = self._condition.wait_for(
                lambda: self.closed or len(self._free) > kept, self.left()
            )
            if self.closed:
                raise closing()
            if not free or self.left() <= 0:
                raise HeldBack(
                    "Too many ServiceNow requests are running.",
                    kind=Kind.BUSY,
                    hint="Try again in a moment. The instance may be slow.",
                )
            client = self._free.pop()
        try:
            self._forget_old_identity(client)
            yield client
        finally:
            with self._condition:
                self._free.append(client)
                self._condition.notify_all()

    def _forget_old_identity(self, client: httpx.Client) -> None:
        identity = getattr(client.auth, "identity", 0)
        if self._identities[id(client)] != identity:
            client.cookies.clear()
            self._identities[id(client)] = identity
