"""Bodies that keep a client busy: a drip, a gzip bomb, one without end, JSON nested too deeply."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache

from starlette.responses import Response, StreamingResponse

from app.simulator.faults import Fault

PIECE = b" " * 65_536
MEGABYTE = 1_000_000
NESTED = 100_000


async def _drip(fault: Fault, body: bytes) -> AsyncIterator[bytes]:
    """The whole answer, about 200 bytes a second."""
    for start in range(0, len(body), 10):
        yield body[start : start + 10]
        await asyncio.sleep(fault.options.get("pause", 0.05))


async def _gzip_bomb(fault: Fault, _: bytes) -> AsyncIterator[bytes]:
    yield _packed(fault.options.get("megabytes", 100))


async def _endless(fault: Fault, _: bytes) -> AsyncIterator[bytes]:
    """Blanks until the client hangs up, or many more than it should ever have read."""
    for _piece in range(fault.options.get("megabytes", 500) * MEGABYTE // len(PIECE)):
        yield PIECE
        await asyncio.sleep(0)


async def _deep_json(_fault: Fault, _: bytes) -> AsyncIterator[bytes]:
    yield b'{"result": ' + b"[" * NESTED + b"]" * NESTED + b"}"


BODIES: dict[str, Callable[[Fault, bytes], AsyncIterator[bytes]]] = {
    "deep_json": _deep_json,
    "drip": _drip,
    "endless": _endless,
    "gzip_bomb": _gzip_bomb,
}


def deformed(response: Response, fault: Fault | None) -> Response:
    """The answer with the body that the fault gives it; status and headers stay."""
    if fault is None or fault.kind not in BODIES:
        return response
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    if fault.kind == "gzip_bomb":
        headers["Content-Encoding"] = "gzip"
    body = BODIES[fault.kind](fault, bytes(response.body))
    return StreamingResponse(body, response.status_code, headers)


@cache
def _packed(megabytes: int) -> bytes:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    pieces = [packer.compress(b'{"result": "')]
    pieces += [packer.compress(PIECE) for _ in range(megabytes * MEGABYTE // len(PIECE))]
    return b"".join([*pieces, packer.compress(b'"}'), packer.flush()])
