"""HTTP requests that always end: one deadline for the whole exchange and a cap on what is read.

ServiceNow, its token endpoint and the language model are all called through this transport.
"""

import json
import logging
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

# A name look-up and a connection get no more than this, in seconds.
CONNECT_SECONDS = 10.0
# How long `close` waits for the exchanges that it interrupts, in seconds.
CLOSE_SECONDS = 2.0
KEEPALIVE_SECONDS = 5.0
# Bytes sent at once: the deadline is checked before each piece.
PIECE = 4_096
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
MEGABYTE = 1_000_000
FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
# Its debug lines hold headers: cookies, and whatever a proxy says.
logging.getLogger("httpcore").setLevel(logging.INFO)
_deadline: ContextVar[float] = ContextVar("http_deadline")


class AnswerTooLong(httpx.DecodingError):
    """The answer has more bytes than are read, as sent or when unpacked."""


class BoundedTransport(httpx.BaseTransport):
    """Sends a request and reads its whole answer, decoded, before it returns.

    The deadline is the request's extension `deadline` (a moment of `time.monotonic`), without it
    the read time-out from now. `proxy_for` answers the proxy of an address, "" for none.
    Raises httpx.TimeoutException at the deadline and AnswerTooLong beyond `max_bytes`.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        tls: ssl.SSLContext | None = None,
        proxy_for: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._max_bytes = max_bytes
        self._tls = tls or httpx.create_ssl_context()
        self._proxy_for = proxy_for
        self._pools: dict[str, httpcore.ConnectionPool] = {}
        self._streams: set[_Stream] = set()
        self._condition = threading.Condition()
        self._under_way = 0
        self._closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        token = _deadline.set(_deadline_of(request))
        try:
            with self._counted():
                return self._exchanged(asked, self._pool(str(request.url)))
        except FAILURES as exc:
            # Each has a namesake there.
            raise getattr(httpx, type(exc).__name__)(str(exc), request=request) from exc
        except httpx.DecodingError as exc:
            exc.request = request
            raise
        finally:
            _deadline.reset(token)

    def close(self) -> None:
        """Interrupt what is under way, then give the connections back."""
        with self._condition:
            self._closed = True
            until = time.monotonic() + CLOSE_SECONDS
            # Again and again: one may just be connecting.
            while self._under_way and time.monotonic() < until:
                for stream in self._streams.copy():
                    stream.interrupt()
                self._condition.wait(0.05)
        for pool in self._pools.values():
            pool.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._condition:
            if self._closed:
                raise httpcore.ConnectError("closed")
            self._under_way += 1
        try:
            yield
        finally:
            with self._condition:
                self._under_way -= 1
                self._condition.notify_all()

    def _exchanged(
        self, request: httpcore.Request, pool: httpcore.ConnectionPool
    ) -> httpx.Response:
        answer = pool.handle_request(request)
        try:
            headers = httpx.Headers(answer.headers)
            encoding = headers.pop("Content-Encoding", "")
            body = _decoded(answer.iter_stream(), encoding, self._max_bytes)
        finally:
            answer.close()
        return httpx.Response(answer.status, headers=headers, content=body)

    def _pool(self, url: str) -> httpcore.ConnectionPool:
        """The connections of an address: straight, or through its proxy."""
        proxy = self._proxy_for(url)
        with self._condition:
            if proxy not in self._pools:
                self._pools[proxy] = httpcore.ConnectionPool(
                    ssl_context=self._tls,
                    proxy=_proxy(proxy) if proxy else None,
                    max_connections=None,
                    keepalive_expiry=KEEPALIVE_SECONDS,
                    network_backend=_Backend(self._streams, to_proxy=bool(proxy)),
                )
            return self._pools[proxy]


def json_of(content: bytes) -> Any:
    """Parsed JSON. Raises ValueError, also for JSON that is nested too deeply to be parsed."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _deadline_of(request: httpx.Request) -> float:
    given: float | None = request.extensions.get("deadline")
    return time.monotonic() + request.extensions["timeout"]["read"] if given is None else given


def _proxy(url: str) -> httpcore.Proxy:
    """Name and password are taken out of the address."""
    parts = httpx.Proxy(url)
    return httpcore.Proxy(str(parts.url), auth=parts.raw_auth)


def _decoded(chunks: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """The body, unpacked no further than to `max_bytes`."""
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError("an encoding that was not asked for")
    unpacker = zlib.decompressobj(GZIP_OR_ZLIB) if encoding not in ("", "identity") else None
    parts: list[bytes] = []
    received = size = 0
    for chunk in chunks:
        received += len(chunk)
        if unpacker is None:
            part = chunk
        else:
            part = b"" if unpacker.eof else _unpacked(unpacker, chunk, max_bytes - size + 1)
        parts.append(part)
        size += len(part)
        if max(received, size) > max_bytes:
            raise AnswerTooLong(f"more than {max_bytes / MEGABYTE:g} MB")
    if unpacker is not None and received and not unpacker.eof:
        raise httpx.DecodingError("the packed body was cut short")
    return b"".join(parts)


def _unpacked(unpacker: "zlib._Decompress", chunk: bytes, most: int) -> bytes:
    try:
        return unpacker.decompress(chunk, most)
    except zlib.error as exc:
        raise httpx.DecodingError(str(exc)) from exc


# -- the network, by the deadline of the request that uses it ----------------------------------


def _left(late: type[Exception]) -> float:
    """Seconds until the deadline; raises `late` when none are left."""
    seconds = _deadline.get() - time.monotonic()
    if seconds <= 0:
        raise late("deadline")
    return seconds


class _Backend(httpcore.NetworkBackend):
    def __init__(self, streams: "set[_Stream]", *, to_proxy: bool) -> None:
        self._inner = httpcore.SyncBackend()
        self._streams = streams
        self._to_proxy = to_proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "_Stream":
        """Each address of the host gets its share of the time that is left."""
        until = time.monotonic() + min(CONNECT_SECONDS, _left(httpcore.ConnectTimeout))
        try:
            addresses = _addresses(host, port, until - time.monotonic())
            stream = self._connected(addresses, port, until)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
            if self._to_proxy:
                raise httpcore.ProxyError("could not be reached") from exc
            raise
        return _Stream(stream, self._streams)

    def _connected(self, addresses: list[str], port: int, until: float) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectTimeout("deadline")
        for position, address in enumerate(addresses):
            seconds = (until - time.monotonic()) / (len(addresses) - position)
            if seconds <= 0:
                break
            try:
                return self._inner.connect_tcp(address, port, seconds)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name, looked up in a thread: the system's resolver has no time-out."""
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as exc:
            found.set_exception(exc)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        return found.result(seconds)
    except TimeoutError as exc:
        raise httpcore.ConnectTimeout("name look-up") from exc
    except (OSError, UnicodeError) as exc:
        raise httpcore.ConnectError(str(exc)) from exc


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, streams: "set[_Stream]") -> None:
        self._inner = inner
        self._streams = streams
        streams.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], _left(httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "_Stream":
        try:
            seconds = min(CONNECT_SECONDS, _left(httpcore.ConnectTimeout))
            secured = self._inner.start_tls(ssl_context, server_hostname, seconds)
        except Exception:
            self.close()
            raise
        self._streams.discard(self)
        return _Stream(secured, self._streams)

    def interrupt(self) -> None:
        """Wake the thread that reads or writes. Unlike `close`, safe from another thread."""
        try:
            socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self._streams.discard(self)
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
