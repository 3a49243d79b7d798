"""How an instance words its answers: headers, refusals, and the pages of faults."""

import json
import secrets
import time
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.simulator import pages
from app.simulator.faults import Fault
from app.simulator.instance import Instance
from app.simulator.tables import CHECK_LOGS, Answer, error

JSON_TYPE = "application/json;charset=UTF-8"


def page_of(fault: Fault) -> Response | None:
    if fault.kind == "hibernate":
        return HTMLResponse(pages.HIBERNATING)
    if fault.kind == "offline_page":
        return HTMLResponse(pages.OFFLINE, fault.options.get("status", 503))
    if fault.kind == "login_redirect":
        return RedirectResponse("/login_with_sso.do", 302)
    if fault.kind == "semaphore_full":
        return Response("", 429, media_type="text/html")
    if fault.kind == "accepted_empty":
        return Response(status_code=202)
    if fault.kind == "rate_limit":
        wait = str(fault.options.get("retry_after", 60))
        seconds = int(wait) if wait.isdigit() else 60
        headers = {
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Reset": str(int(time.time()) + seconds),
            "X-RateLimit-Rule": "7a" * 16,
            "Retry-After": wait,
        }
        detail = "Rate limit of 100 requests per hour for Table API exceeded"
        return respond(error(429, "Rate limit exceeded", detail), headers)
    return None


def cancelled() -> dict[str, Any]:
    message = "Transaction cancelled: maximum execution time exceeded"
    return {"error": {"detail": CHECK_LOGS, "message": message}, "status": "failure"}


def unauthorized(instance: Instance) -> Response:
    answer = error(401, "User Not Authenticated", "Required to provide Auth information")
    scheme = "BASIC" if instance.accounts.basic_allowed else "BEARER"
    headers = {"WWW-Authenticate": f'{scheme} realm="Service-now"'}
    return respond(answer, headers, signed_in=False)


def respond(
    answer: Answer, headers: dict[str, str] | None = None, *, signed_in: bool = True
) -> Response:
    """An answer with the headers every instance sends."""
    usual = {
        "X-Transaction-ID": secrets.token_hex(6),
        "Cache-Control": "no-cache,no-store,must-revalidate,max-age=-1",
        "Pragma": "no-store,no-cache",
        "Expires": "0",
        "Server": "ServiceNow",
        "X-Content-Type-Options": "nosniff",
    }
    if signed_in:
        usual["X-Is-Logged-In"] = "true"
    content = b"" if answer.body is None else json.dumps(answer.body).encode()
    response = Response(content, answer.status, usual | answer.headers | (headers or {}))
    if answer.body is not None:
        response.headers["Content-Type"] = JSON_TYPE
    return response
