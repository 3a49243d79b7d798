"""Rendering of pages, partials and errors for browsers, htmx and programs."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    pass_context,
)
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.display import ZONE_COOKIE, span, when
from app.errors import (
    AppError,
    Conflict,
    Invalid,
    NotConfigured,
    ServiceNowError,
    SignInNeeded,
    sentence,
)
from app.markdown import markdown
from app.models.accounts import Role, User
from app.models.characters import plain
from app.models.tickets import Suggestion
from app.models.time_zones import find_zone
from app.people import contact, name_of, people_in, person, with_names

# Limits of invalid fields in a response: their number and the length of their names.
FIELDS_REPORTED = 20
FIELD_NAME_LENGTH = 100
ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger("app.web")
# The shortest htmx timeout: longer than a writer waits for the database.
PAGE_SECONDS = 15
# Form addresses that do not start with the address of their page.
FORM_PAGES = re.compile(r"^/servicenow(/tickets/\d+)/.*|^(/servicenow/outbox)/.*")
TITLES = {
    400: "Bad request",
    401: "Log in to continue",
    403: "Not allowed",
    404: "Not found",
    405: "This action is not available here",
    408: "Request timed out",
    409: "Conflict",
    413: "Request too large",
    422: "Invalid input",
    429: "Too many attempts",
    500: "Unexpected error",
    502: "ServiceNow error",
    503: "Temporarily unavailable",
}


@cache
def make_templates(
    *,
    demo: bool,
    click_seconds: float,
    drafting: bool = False,
    llm_missing: tuple[str, ...] = (),
) -> Jinja2Templates:
    """The Jinja environment: `templates/`, and `partials/` under that prefix.

    The htmx timeout is longer than `click_seconds`, so that the server's own message arrives.
    """
    env = Environment(
        loader=ChoiceLoader(
            [
                PrefixLoader({"partials": FileSystemLoader(ROOT / "partials")}),
                FileSystemLoader(ROOT / "templates"),
            ]
        ),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["when"] = pass_context(
        lambda context, moment: when(moment, context["zone"], context["now"])
    )
    for show in (person, name_of, contact, people_in):
        env.filters[show.__name__] = show
    env.filters["markdown"] = markdown
    env.filters["span"] = lambda length: span(length.total_seconds())
    env.filters["groupby_source"] = by_source
    env.filters["percent"] = lambda share: "" if share is None else f"{round(100 * share)}%"
    env.globals["with_query"] = with_query
    env.globals["demo"] = demo
    env.globals["drafting"] = drafting
    env.globals["llm_missing"] = llm_missing
    env.globals["htmx_timeout"] = int(1000 * max(click_seconds + 5, PAGE_SECONDS))
    env.globals["Role"] = Role
    return Jinja2Templates(env=env)


def _readable(value: object) -> object:
    """A value for a template: text without misleading characters."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def by_source(steps: Iterable[Suggestion]) -> list[list[Suggestion]]:
    """Group consecutive steps with the same source."""
    return [list(group) for _, group in groupby(steps, key=lambda step: (step.kind, step.source))]


def with_query(request: Request, **changes: str | int | None) -> str:
    """This page's address with changed query values; None or "" removes a value."""
    query = dict(request.query_params) | {
        name: "" if value is None else str(value) for name, value in changes.items()
    }
    kept = urlencode({name: value for name, value in query.items() if value})
    return f"{request.url.path}?{kept}" if kept else request.url.path


def is_partial(request: Request) -> bool:
    """True if htmx requests one element; boosted links and Back request the whole page."""
    return request.headers.get("HX-Request-Type") == "partial"


def page(request: Request, name: str, /, *, status_code: int = 200, **context: Any) -> Response:
    """A whole document from `templates/`.

    For a form sent by htmx, the main element is morphed into the same page, which keeps scroll
    position, focus and entered text. Another page replaces it and gets a history entry.
    """
    response = _render(request, name, status_code, context)
    if is_partial(request):
        moved = request.method == "GET" and not shows(request, request.url.path)
        response.headers["HX-Retarget"] = response.headers["HX-Reselect"] = "#main"
        response.headers["HX-Reswap"] = "outerHTML show:top" if moved else "outerMorph"
        if moved:
            response.headers["HX-Push-Url"] = request.url.path
    return response


def fragment(request: Request, name: str, /, *, status_code: int = 200, **context: Any) -> Response:
    """One swappable element from `partials/`."""
    return _render(request, f"partials/{name}", status_code, context)


def see_other(url: str) -> Response:
    """Redirect to `url` after a successful form (303)."""
    return RedirectResponse(url, status_code=303)


def shows(request: Request, path: str) -> bool:
    """Whether the browser that sent this htmx request shows the page at `path`."""
    return _parts(request.headers.get("HX-Current-URL", "")).path == path


def _parts(url: str) -> SplitResult:
    """The parts of an address from a request; all empty if it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def announce(
    response: Response, sentence: str, *, focus: str = "", close_dialog: bool = False
) -> Response:
    """Announce `sentence` in the page's live region and focus the element with the id `focus`.

    Without `focus`, the focus stays, or moves to the nearest element that still exists.
    """
    events: dict[str, dict[str, str]] = {"modal:close": {}} if close_dialog else {}
    events["announce"] = {"text": sentence, "focus": focus}
    response.headers["HX-Trigger"] = json.dumps(events)
    return response


def _render(request: Request, name: str, status_code: int, context: Mapping[str, Any]) -> Response:
    templates: Jinja2Templates = request.app.state.templates
    frame = {
        "user": getattr(request.state, "user", None),
        "ignored_proxies": request.app.state.proxies.ignored,
        "waiting": getattr(request.state, "waiting", 0),
        "request_id": getattr(request.state, "request_id", ""),
        "zone": zone_of(request),
        "now": request.app.state.now(),
    }
    html = templates.get_template(name).render({"request": request, **frame, **context})
    response = HTMLResponse(
        with_names(html, frame["user"], request.app.state.people), status_code=status_code
    )
    response.headers["Vary"] = "HX-Request, HX-Request-Type"
    response.headers["Cache-Control"] = "no-store"
    return response


def zone_of(request: Request) -> ZoneInfo:
    """The reader's time zone: the account's, else the browser's, else TIME_ZONE."""
    user: User | None = getattr(request.state, "user", None)
    chosen = find_zone(user.time_zone) if user else None
    default: str = request.app.state.settings.time_zone
    return chosen or find_zone(request.cookies.get(ZONE_COOKIE)) or ZoneInfo(default)


def problem(request: Request, status: int, code: str, message: str, **extra: Any) -> JSONResponse:
    """Problem details (RFC 9457) with a stable `code` and the request id."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": message,
        "code": code,
        "request_id": getattr(request.state, "request_id", ""),
    } | {name: value for name, value in extra.items() if value}
    return JSONResponse(body, status, media_type="application/problem+json")


def _error(
    request: Request, status: int, code: str, message: str, *, hint: str = "", **extra: Any
) -> Response:
    """An error as JSON for programs, as a notice for htmx, as a page for browsers."""
    if errors := extra.get("errors"):
        first = islice(errors.items(), FIELDS_REPORTED)
        extra["errors"] = {name[:FIELD_NAME_LENGTH]: text for name, text in first}
    if request.url.path.startswith("/api/"):
        return problem(request, status, code, message, hint=hint, **extra)
    context = {"message": message, "hint": hint, "title": TITLES.get(status, "Error")}
    if is_partial(request):
        response = _render(request, "partials/notice.html", status, context | {"level": "error"})
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "beforeend"
        return response
    if status < 500 and not hasattr(request.state, "user"):
        request.app.state.recognise(request)
    back, fields = _came_from(request), extra.get("errors") or {}
    return page(request, "error.html", status_code=status, fields=fields, back=back, **context)


def _came_from(request: Request) -> str:
    """The page of this app that the request came from; "" if it is this address itself."""
    came = _parts(request.headers.get("Referer", ""))
    if came.netloc != request.url.netloc or came.path == request.url.path:
        return ""
    # Exactly one slash, because two would start a host name.
    path = "/" + came.path.lstrip("/\\")
    return f"{path}?{came.query}" if came.query else path


def _app_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, AppError)
    if isinstance(exc, SignInNeeded) and not request.url.path.startswith("/api/"):
        return _to_login(request)
    if isinstance(exc, ServiceNowError):
        log.warning("servicenow %s", exc.kind, extra={"fields": exc.details})
    fields = exc.fields if isinstance(exc, Invalid | Conflict) else {}
    missing = list(exc.missing) if isinstance(exc, NotConfigured) else []
    response = _error(
        request, exc.status, exc.code, exc.message, hint=exc.hint, errors=fields, missing=missing
    )
    retry_after = getattr(exc, "retry_after", None)
    if retry_after is None and exc.status == 503 and not isinstance(exc, NotConfigured):
        retry_after = 30
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after)))
    if exc.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _to_login(request: Request) -> Response:
    """Redirect to the log-in page, which leads back and keeps an unsent note."""
    if request.headers.get("HX-Request") == "true":
        back = _local(request.headers.get("HX-Current-URL", ""))
        return Response(status_code=401, headers={"HX-Redirect": _login_for(back)})
    if request.method == "GET":
        return see_other(_login_for(_local(str(request.url))))
    back = _came_from(request) or _page_of(request)
    draft = getattr(request.state, "draft", None)
    if not draft:
        return see_other(_login_for(back))
    return page(
        request,
        "login.html",
        status_code=401,
        notice="Your session has ended. Log in again. Your text is kept.",
        message="",
        errors={},
        next_path=back,
        email="",
        draft=draft,
        demo_accounts=request.app.state.demo_accounts,
    )


def _login_for(back: str) -> str:
    return f"/login?next={quote(back)}" if back not in ("", "/") else "/login"


def _local(url: str) -> str:
    """Path and query of an address; "" if it is malformed."""
    parts = _parts(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.status_code == 404 and (target := _without_slash(request)):
        return RedirectResponse(target, status_code=307)
    is_api = request.url.path.startswith("/api/")
    if exc.status_code == 405 and request.method in ("GET", "HEAD") and not is_api:
        return see_other(_page_of(request))
    is_api = request.url.path.startswith("/api/")
    messages = {
        404: "Not found." if is_api else "Page not found.",
        405: f"This address does not accept {request.method} requests.",
    }
    message = messages.get(exc.status_code, str(exc.detail))
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    code = codes.get(exc.status_code, "http_error")
    response = _error(request, exc.status_code, code, message)
    response.headers.update(exc.headers or {})
    return response


def _without_slash(request: Request) -> str:
    """The path without its final slash if there is a route for it, else "".

    Starlette's own redirect uses the host of the request, which a client can forge.
    """
    path = request.url.path.rstrip("/")
    if path == request.url.path or not path or not _has_route(request, path):
        return ""
    return f"{quote(path)}?{request.url.query}" if request.url.query else quote(path)


def _has_route(request: Request, path: str, *, method: str = "") -> bool:
    scope = {**request.scope, "path": path, "method": method or request.method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _page_of(request: Request) -> str:
    """The page with the form for an address that only accepts forms.

    Reloading the page after a form error requests such an address.
    """
    path = request.url.path
    path = path if _has_route(request, path, method="GET") else FORM_PAGES.sub(r"\1\2", path)
    while path and not _has_route(request, path, method="GET"):
        path = path.rpartition("/")[0]
    return quote(path or "/")


def _validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    fields = {_field(error): sentence(error) for error in found[:FIELDS_REPORTED]}
    first = islice(fields.items(), 5)
    named = "; ".join(f"{name[:FIELD_NAME_LENGTH]}: {text}" for name, text in first)
    if len(found) > FIELDS_REPORTED:
        named += f" These are the first {FIELDS_REPORTED} of {len(found):,} errors."
    return _error(request, 422, "invalid", f"The request is not valid. {named}", errors=fields)


def _field(error: Mapping[str, Any]) -> str:
    where = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"][1:]
    return ".".join(str(part) for part in where) or str(error["loc"][0])


def _unexpected(request: Request, exc: Exception) -> Response:
    log.error("request failed", exc_info=exc)
    message = "An unexpected error occurred."
    hint = "Try again. If it happens again, give an administrator the request ID."
    return _error(request, 500, "internal_error", message, hint=hint)


def install_error_handlers(app: FastAPI) -> None:
    """Handle every error of pages and API in this module."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected)
