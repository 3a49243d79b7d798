"""What stands before every route: foreign forms, too large bodies, and headers on each answer.

Pure ASGI. A refusal is worded by the app's own handler of AppError, so it has the shape of the
door it came through.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, NotAllowed, TooLarge

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
LARGEST_BODY = 1_500_000
# So much of a refused body is read and dropped: a client that is still sending when the
# connection closes would never see the answer.
LARGEST_DRAIN = 20 * LARGEST_BODY
YEAR = 31_536_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'none'; object-src 'none'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


async def refuse(scope: Scope, receive: Receive, send: Send, error: AppError) -> None:
    """Answer with `error` as a page, a fragment or problem+json."""
    handler = scope["app"].exception_handlers[AppError]
    response: Response = handler(Request(scope, receive), error)
    await response(scope, receive, send)


class SameOrigin:
    """Refuses writes that another site's page makes in the name of a signed-in browser."""

    def __init__(self, app: ASGIApp, *, public_url: str = "") -> None:
        self._app = app
        self._public_host = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or self._own(scope):
            await self._app(scope, receive, send)
            return
        error = NotAllowed(
            "This request came from another site and was refused.",
            hint="Open the page here and try again. Scripts send an API token and no cookie.",
        )
        await refuse(scope, receive, send, error)

    def _own(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site")
        if site:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin:
            return self._own_host(origin, headers.get("host", ""))
        # No browser of today: a script. One that carries a cookie may be an old browser.
        return "cookie" not in headers

    def _own_host(self, origin: str, host: str) -> bool:
        try:
            named = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return bool(named) and named in (host.lower(), self._public_host)


class SecurityHeaders:
    """The same protective headers on every answer; nothing but /static may be kept by caches."""

    def __init__(self, app: ASGIApp, *, https: bool = False) -> None:
        self._app = app
        transport = {"Strict-Transport-Security": f"max-age={YEAR}"} if https else {}
        self._headers: Mapping[str, str] = HEADERS | transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # no-cache: kept, but asked for again, so a new version is seen at once.
        caching = "no-cache" if scope["path"].startswith("/static/") else "no-store"

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(
                    dict(self._headers) | {"Cache-Control": caching}
                )
            await send(message)

        await self._app(scope, receive, send_protected)


class BodyLimit:
    """Refuses bodies above `largest` bytes, announced or not, before any route reads them."""

    def __init__(self, app: ASGIApp, *, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length")
        if announced is not None:
            fits = announced.isdecimal() and int(announced) <= self._largest
            if fits:
                await self._app(scope, receive, send)
                return
            await _drain(receive)
        elif scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        else:
            body = await self._read(receive)
            if body is not None:
                await self._app(scope, _replayed(body, receive), send)
                return
        error = TooLarge(f"At most {self._largest:,} bytes can be sent at once.")
        await refuse(scope, receive, send, error)

    async def _read(self, receive: Receive) -> list[Message] | None:
        """The messages of a body of unknown length; None when it is too large."""
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._largest:
                if message.get("more_body"):
                    await _drain(receive)
                return None
            messages.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def receive_again() -> Message:
        for message in waiting:
            return message
        return await receive()

    return receive_again


async def _drain(receive: Receive) -> None:
    dropped = 0
    while dropped < LARGEST_DRAIN:
        message = await receive()
        dropped += len(message.get("body", b""))
        if not message.get("more_body"):
            return
