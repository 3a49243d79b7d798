"""Requests under way, so that work in the background can let them pass."""

import threading

from starlette.types import ASGIApp, Receive, Scope, Send

# A long wait for an instance is a request, too: work goes on after this.
LONGEST_WAIT = 0.05


class Traffic:
    """Counts the requests of this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._under_way = 0
        self._quiet = threading.Event()
        self._quiet.set()

    def __enter__(self) -> None:
        with self._guard:
            self._under_way += 1
            self._quiet.clear()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    def let_pass(self) -> None:
        """Wait until no request is under way, or for `LONGEST_WAIT` seconds."""
        self._quiet.wait(LONGEST_WAIT)


class CountRequests:
    """Counts every request in `traffic`."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._traffic:
            await self._app(scope, receive, send)
