"""The HTTP interface of an instance: sign-in, sessions, faults, limits; then the Table API."""

import asyncio
import json
import re
import secrets
import time
from email.utils import format_datetime
from itertools import cycle
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from app.simulator import pages
from app.simulator.bodies import deformed
from app.simulator.faults import Fault
from app.simulator.instance import Instance
from app.simulator.responses import JSON_TYPE, cancelled, page_of, respond, unauthorized
from app.simulator.tables import Answer, Call, error, serve

API = re.compile(r"/api/now(?:/(v[12]))?/table/([a-z0-9_]+)(?:/([^/]+))?/?$")
LONGEST_URL = 8_192
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def create_app(
    instance: Instance, *, base_url: str = "http://testserver", control: bool = True
) -> Starlette:
    """The instance as an ASGI app; with `control` other processes may switch faults on."""
    endpoints = _Endpoints(instance, base_url)
    routes = [
        Route("/oauth_token.do", endpoints.token, methods=["POST"]),
        Route("/nav_to.do", endpoints.people, methods=["GET"]),
        Route("/incident.do", endpoints.people, methods=["GET"]),
        Route("/{path:path}", endpoints.api, methods=METHODS),
    ]
    if control:
        routes.insert(
            0, Route("/_control/{what}", endpoints.control, methods=["GET", "POST", "DELETE"])
        )
    return Starlette(routes=routes)


def _outlasts_its_quota(instance: Instance, call: Call) -> bool:
    wanted = call.parameters.get("sysparm_limit", "")
    most = instance.largest_page
    return most is not None and call.sys_id is None and wanted.isdigit() and int(wanted) > most


class _Endpoints:
    def __init__(self, instance: Instance, base_url: str) -> None:
        self._instance = instance
        self._base_url = base_url
        self._sessions: dict[str, asyncio.Lock] = {}
        self._under_way = 0
        self._window: tuple[float, int] = (0.0, 0)
        self._ways_to_cancel = cycle(("result_and_error", "cut_json"))

    # -- pages and tokens -------------------------------------------------------------------

    async def people(self, request: Request) -> Response:
        """A record for people, by sys_id."""
        target = unquote(request.query_params.get("uri", "")) or str(request.url)
        found = re.search(r"sys_id=([0-9a-zA-Z]{32})", target)
        return HTMLResponse(pages.incident_page(self._instance, found[1] if found else ""))

    async def token(self, request: Request) -> Response:
        """OAuth: form-encoded body only."""
        fault = self._instance.faults.take("POST", request.url.path)
        answer = await self._meet_before(request, fault)
        if answer is not None:
            return answer
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        status, body = self._instance.accounts.token(form)
        self._note(request, status, user=None)
        return deformed(JSONResponse(body, status), fault)

    # -- the API ----------------------------------------------------------------------------

    async def api(self, request: Request) -> Response:
        instance = self._instance
        instance.under_way += 1
        instance.most_under_way = max(instance.most_under_way, instance.under_way)
        try:
            instance.apply_due()
            fault = instance.faults.take(request.method, request.url.path)
            answer = await self._meet_before(request, fault)
            if answer is None:
                answer = await self._in_session(request, fault)
            self._note(request, answer.status_code, user=instance.accounts.user)
            if instance.sends_date:
                answer.headers["Date"] = format_datetime(instance.moment(), usegmt=True)
        finally:
            instance.under_way -= 1
        return answer

    async def _in_session(self, request: Request, fault: Fault | None) -> Response:
        """Calls that share a session are served one at a time."""
        instance = self._instance
        session = request.cookies.get("JSESSIONID") or secrets.token_hex(16).upper()
        lock = self._sessions.setdefault(session, asyncio.Lock())
        if lock.locked() and request.method == "GET" and instance.empty_answer_for_shared_session:
            return Response(status_code=202)
        waited = time.monotonic()
        async with lock:
            wait_ms = int(1000 * (time.monotonic() - waited))
            started = time.monotonic()
            if instance.latency_seconds:
                await asyncio.sleep(instance.latency_seconds)
            answer = await self._limited(request, fault)
        spent = int(1000 * (time.monotonic() - started))
        timing = f"sem_wait;dur=0, sesh_wait;dur={wait_ms}, app;dur={spent}"
        answer.headers["Server-Timing"] = timing
        self._set_cookies(answer, session)
        if not request.cookies.get("JSESSIONID") and len(self._sessions) > 10_000:
            self._sessions.clear()
        return answer

    def _set_cookies(self, answer: Response, session: str) -> None:
        answer.set_cookie("JSESSIONID", session, httponly=True)
        answer.set_cookie("glide_user", "", max_age=0)
        answer.set_cookie("glide_user_session", "", max_age=0)
        answer.set_cookie("glide_user_route", f"glide.{session.lower()}", max_age=2147483647)
        answer.set_cookie("glide_session_store", session, max_age=1800)

    async def _limited(self, request: Request, fault: Fault | None) -> Response:
        """Semaphores, then rate rules, then the call itself."""
        instance = self._instance
        if instance.semaphores is not None and self._under_way >= instance.semaphores:
            return Response("Too many requests", 429, media_type="text/plain")
        self._under_way += 1
        try:
            user = instance.accounts.who(request.headers.get("Authorization", ""))
            if user is None:
                return unauthorized(instance)
            headers = self._count_request()
            if headers.get("Retry-After"):
                detail = (
                    f"Rate limit of {instance.rate_limit} requests per hour for Table API exceeded"
                )
                return respond(error(429, "Rate limit exceeded", detail), headers)
            return await self._call(request, fault, user, headers)
        finally:
            self._under_way -= 1

    def _count_request(self) -> dict[str, str]:
        instance = self._instance
        if instance.rate_limit is None:
            return {}
        started, count = self._window
        now = time.time()
        if now - started >= instance.rate_window_seconds:
            started, count = now, 0
        self._window = (started, count + 1)
        reset = started + instance.rate_window_seconds
        headers = {
            "X-RateLimit-Limit": str(instance.rate_limit),
            "X-RateLimit-Reset": str(int(reset)),
            "X-RateLimit-Rule": "7a" * 16,
        }
        if count + 1 > instance.rate_limit:
            headers["Retry-After"] = str(max(1, int(reset - now)))
        return headers

    async def _call(
        self, request: Request, fault: Fault | None, user: str, headers: dict[str, str]
    ) -> Response:
        instance = self._instance
        found = API.fullmatch(request.url.path)
        if not found:
            return respond(error(400, "Requested URI does not represent any resource", None))
        if len(str(request.url)) > LONGEST_URL:
            return HTMLResponse(pages.error_page(414), 414)
        method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
        call = Call(
            method=method,
            version=found[1] or "",
            table=found[2],
            sys_id=found[3],
            parameters=dict(request.query_params),
            body=await request.body(),
            caller=instance.user_named(user) or {"user_name": user, "sys_id": ""},
            base=f"{self._base_url}/api/now{'/' + found[1] if found[1] else ''}/table",
        )
        if method in WRITES and fault and fault.kind == "late_commit":
            instance.do_later(fault.options["seconds"], lambda: serve(instance, call))
            return HTMLResponse(pages.error_page(503), 503)
        if fault and fault.kind == "slow_commit":
            await asyncio.sleep(fault.options["seconds"])
        answer = serve(instance, call)
        if _outlasts_its_quota(instance, call):
            fault = Fault(next(self._ways_to_cancel))
        answer.headers |= headers
        if method in WRITES and request.headers.get("X-no-response-body") == "true":
            answer.body = None
        return await self._meet_after(request, fault, answer)

    # -- faults -----------------------------------------------------------------------------

    async def _meet_before(self, request: Request, fault: Fault | None) -> Response | None:
        """What a fault answers before anything is applied; None to go on."""
        if fault is None:
            return None
        if "fields" in fault.options:
            sys_id = request.url.path.rpartition("/")[2]
            self._instance.edit(sys_id, by=fault.options["by"], **fault.options["fields"])
        if fault.kind == "hang":
            await asyncio.sleep(fault.options["seconds"])
        elif fault.kind == "expire_tokens":
            self._instance.accounts.expire_tokens()
        elif fault.kind == "drop_before":
            return await self._drop(request)
        elif fault.kind == "fail" and not fault.options.get("applied"):
            status = fault.options.get("status", 503)
            return HTMLResponse(pages.error_page(status), status)
        elif fault.kind == "unauthorized":
            return unauthorized(self._instance)
        return page_of(fault)

    async def _meet_after(self, request: Request, fault: Fault | None, answer: Answer) -> Response:
        """What a fault makes of an answer whose write was applied."""
        if fault and fault.kind == "repeated_row" and answer.body and answer.body["result"]:
            rows, limit = answer.body["result"], int(request.query_params["sysparm_limit"])
            rows.insert(len(rows) // 2, rows[len(rows) // 2 - 1])
            del rows[limit:]
        response = deformed(respond(answer), fault)
        if fault is None:
            return response
        if fault.kind == "lose_reply":
            return await self._drop(request)
        if fault.kind == "slow_answer":
            await asyncio.sleep(fault.options["seconds"])
        if fault.kind == "fail":
            status = fault.options.get("status", 503)
            return HTMLResponse(pages.error_page(status), status)
        if fault.kind == "cut_json":
            cut = bytes(response.body)[: max(1, len(response.body) // 2)]
            text = json.dumps(cancelled())
            return Response(cut + text.encode(), 200, media_type=JSON_TYPE)
        if fault.kind == "result_and_error":
            return respond(Answer(200, (answer.body or {}) | cancelled()))
        return response

    async def _drop(self, request: Request) -> Response:
        """Close the connection without an answer."""
        client = request.client
        transport = self._instance.transports.get((client.host, client.port) if client else None)
        if transport is not None:
            transport.abort()
            await asyncio.sleep(0)
        return Response(status_code=502)

    # -- the control route ----------------------------------------------------------------------

    async def control(self, request: Request) -> Response:
        """faults, reset, state, switches, incidents: for other processes."""
        instance, what = self._instance, request.path_params["what"]
        body: dict[str, Any] = json.loads(await request.body() or b"{}")
        if what == "faults" and request.method == "POST":
            try:
                instance.faults.add(body.pop("kind", ""), **body)
            except (ValueError, TypeError) as exc:
                return JSONResponse({"error": str(exc)}, 422)
        elif what == "faults" and request.method == "DELETE":
            instance.faults.clear()
        elif what == "reset" and request.method == "POST":
            instance.reset()
        elif what == "switches" and request.method == "POST":
            unknown = [name for name in body if not hasattr(instance, name)]
            if unknown:
                return JSONResponse({"error": f"unknown: {', '.join(unknown)}"}, 422)
            for name, value in body.items():
                setattr(instance, name, value)
        elif what == "incidents":
            return JSONResponse(list(instance.incidents.values()))
        elif what != "state":
            return JSONResponse({"error": "not found"}, 404)
        state = {"incidents": len(instance.incidents), "requests": list(instance.requests)}
        return JSONResponse(state)

    def _note(self, request: Request, status: int, *, user: str | None) -> None:
        self._instance.requests.append(
            {
                "method": request.method,
                "path": request.url.path,
                "query": dict(request.query_params),
                "status": status,
                "user": user,
                "session": request.cookies.get("JSESSIONID"),
            }
        )
