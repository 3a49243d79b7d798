"""Logs on stderr, one line per request: JSON, or text for people. No query, no body, no secret."""

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("app.requests")
# Goes with the request into the threads that work for it.
current_request: ContextVar[str] = ContextVar("current_request", default="")
QUIET = ("httpx", "httpcore", "alembic", "asyncio", "multipart", "python_multipart")
AFTER_RESET = re.compile(r"(reset/).+", re.IGNORECASE | re.DOTALL)
# As long as half a token; of those, the names of articles and the ids of records are no secrets.
LONG = re.compile(r"[A-Za-z0-9_-]{20,}")
HARMLESS = re.compile(r"([a-z]+|[a-z0-9]{1,15})(-([a-z]+|[a-z0-9]{1,15}))*|([0-9a-f]{32}){1,2}")
# Requests that are worth a line only when they fail.
ROUTINE = ("/static/", "/healthz", "/readyz")


class JsonLines(logging.Formatter):
    """One JSON object per line; `extra={"fields": {...}}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = current_request.get()
        if request_id:
            line["request_id"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """One short line for people: the time, what happened, and the fields that say more."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        fields = dict(getattr(record, "fields", {}))
        if record.name == log.name:
            said = "{method} {path} {status} {ms:.0f} ms".format(**fields)
        else:
            told = (f"{name}={value}" for name, value in fields.items() if value != "")
            said = " ".join((f"{record.name.removeprefix('app.')}: {record.getMessage()}", *told))
        # A path may hold a line break: one line stays one line.
        said = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in said)
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        line = f"{moment:%H:%M:%S} {level}{said}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(form: str = "json", *, level: int = logging.INFO) -> None:
    """Send every logger's lines to stderr; chatty libraries only from WARNING on.

    `form` is json, text, or auto: text when stderr is a terminal.
    """
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if text else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class RequestLog:
    """Gives each request an id, sends it back as X-Request-ID, and writes one line about it.

    The id is ours: one that a client sends is not taken over.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        token = current_request.set(request_id)
        started = perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _write(scope, status, milliseconds=1000 * (perf_counter() - started))
            current_request.reset(token)


def _write(scope: Scope, status: int, *, milliseconds: float) -> None:
    fields = {
        "method": scope["method"],
        "path": shown_path(scope["path"]),
        "status": status,
        "ms": round(milliseconds, 1),
    }
    user = scope["state"].get("user")
    if user is not None:
        fields["user_id"] = user.id
    routine = status < 400 and scope["path"].startswith(ROUTINE)
    log.log(logging.DEBUG if routine else logging.INFO, "request", extra={"fields": fields})


def shown_path(path: str) -> str:
    """The path without what must not be read in a log: the token of a link, mistyped or not."""
    path = AFTER_RESET.sub(r"\1...", path)
    return LONG.sub(lambda found: found[0] if HARMLESS.fullmatch(found[0]) else "...", path)
