"""Checks of host, origin and body of every request, and headers of every response.

Pure ASGI. The app's own handler of AppError renders a rejection, as a page or as JSON.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from anyio import fail_after
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, BadRequest, BodyTooSlow, NotAllowed, TooLarge

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
LARGEST_BODY = 1_500_000
# This much of a rejected body is read and discarded, because a client that is still sending when
# the connection closes does not see the response.
LARGEST_DRAIN = 20 * LARGEST_BODY
# The time limit of a body, plus one second for each announced 64 KiB.
BODY_SECONDS = 30.0
BYTES_PER_SECOND = 65_536
HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)
PORTS = {"http": 80, "https": 443}
YEAR = 31_536_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'none'; object-src 'none'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer, because browsers would then send `Origin: null` with the app's own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


async def refuse(
    scope: Scope, receive: Receive, send: Send, error: AppError, *, close: bool = False
) -> None:
    """Respond with `error` as a page, a partial or problem+json; `close` ends the connection."""
    handler = scope["app"].exception_handlers[AppError]
    response: Response = await run_in_threadpool(handler, Request(scope, receive), error)
    if close:
        response.headers["Connection"] = "close"
    await response(scope, receive, send)


class UnexpectedErrors:
    """Responds to an unexpected error with the security headers, then raises it for the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            if scope["type"] == "http" and not started:
                response = scope["app"].exception_handlers[Exception](Request(scope), error)
                await response(scope, receive, send)
            raise


class ValidHost:
    """Rejects a Host header that is not a host name or address with an optional port."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or all(map(_is_host, Headers(scope=scope).getlist("host"))):
            await self._app(scope, receive, send)
            return
        # Without the header, URLs are built from the server's own address.
        kept = [pair for pair in scope["headers"] if pair[0].lower() != b"host"]
        error = BadRequest("The Host header of this request is not valid.")
        await refuse({**scope, "headers": kept}, receive, send, error)


def _is_host(text: str) -> bool:
    if not HOST.fullmatch(text):
        return False
    try:
        return urlsplit(f"//{text}").port != 0
    except ValueError:
        return False


class SameOrigin:
    """Rejects writes that a page of another site sends with a logged-in browser."""

    def __init__(self, app: ASGIApp, *, public_url: str = "") -> None:
        self._app = app
        self._public_origin = origin_of(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or self._own(scope):
            await self._app(scope, receive, send)
            return
        error = NotAllowed(
            "The request was rejected because it came from another site.",
            hint="Open the page in this app and try again. In scripts, use an API token.",
        )
        await refuse(scope, receive, send, error)

    def _own(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site")
        if site:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin:
            own = f"{scope['scheme']}://{headers.get('host', '')}"
            named = origin_of(origin)
            return named is not None and named == (self._public_origin or origin_of(own))
        # Current browsers send one of these headers. A client with a cookie may be an old browser.
        return "cookie" not in headers


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address; None without a host."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


class SecurityHeaders:
    """Adds the security headers to every response; caches can keep only /static."""

    def __init__(self, app: ASGIApp, *, https: bool = False) -> None:
        self._app = app
        transport = {"Strict-Transport-Security": f"max-age={YEAR}"} if https else {}
        self._headers: Mapping[str, str] = HEADERS | transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # no-cache: stored but revalidated, so that a new version is used immediately.
        caching = "no-cache" if scope["path"].startswith("/static/") else "no-store"

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(
                    dict(self._headers) | {"Cache-Control": caching}
                )
            await send(message)

        await self._app(scope, receive, send_protected)


class BodyLimit:
    """Reads every body before its route: at most `largest` bytes, within the time limit.

    A body that is too large or too slow is rejected and its connection closed.
    """

    def __init__(
        self, app: ASGIApp, *, largest: int = LARGEST_BODY, seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._largest = largest
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if not ("content-length" in headers or "transfer-encoding" in headers):
            await self._app(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        fits = length.isdecimal() and len(length) < 20 and int(length) <= self._largest
        announced = int(length) if fits else self._largest + 1
        try:
            with fail_after(self._seconds + announced / BYTES_PER_SECOND):
                message = await self._read(receive, announced=announced)
        except AppError as error:
            await refuse(scope, receive, send, error, close=True)
        except TimeoutError:
            slow = BodyTooSlow("The request took too long to arrive.")
            await refuse(scope, receive, send, slow, close=True)
        else:
            await self._app(scope, _replayed(message, receive), send)

    async def _read(self, receive: Receive, *, announced: int) -> Message:
        """The whole body as one message. Raises TooLarge."""
        body = bytearray()
        size = 0
        while size < LARGEST_DRAIN:
            message = await receive()
            if message["type"] == "http.disconnect":
                return message
            part = message.get("body", b"")
            size += len(part)
            if max(size, announced) <= self._largest:
                body += part
            if not message.get("more_body"):
                break
        if max(size, announced) > self._largest:
            raise TooLarge(f"The request is too large. The limit is {self._largest:,} bytes.")
        return {"type": "http.request", "body": bytes(body), "more_body": False}


def _replayed(message: Message, receive: Receive) -> Receive:
    waiting = [message]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again
