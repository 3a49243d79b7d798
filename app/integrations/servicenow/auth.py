"""Signing in to an instance, as httpx auth flows: basic, and OAuth with a cached token."""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future

import httpx

from app.errors import Kind, ServiceNowUnavailable
from app.integrations.bounded_http import json_of
from app.integrations.servicenow.answers import TRY_AGAIN

EARLY_SECONDS = 30.0
EARLY_SHARE = 0.1


class BasicAuth(httpx.BasicAuth):
    """User name and password with every call; a refusal is final."""

    identity = 0


class OAuth(httpx.Auth):
    """OAuth 2.0: refresh token, else password grant, else client credentials.

    What the token endpoint answers: docs/servicenow.md 4.2.

    The token is cached and renewed early, by one request for all who need it. A call that is
    answered 401 drops the token, fetches once and is repeated once: a 401 applied nothing, so this
    holds for writes too. `transport` sends the token request; `build_slots` sets it.
    """

    transport: httpx.BaseTransport | None = None

    # Counts the tokens: cookies of an older one must not be used again.
    identity = 0

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        refresh_token: str = "",
        username: str = "",
        password: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token_url = token_url
        self._form = {"client_id": client_id, "client_secret": client_secret}
        if refresh_token:
            self._form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        elif username and password:
            self._form |= {"grant_type": "password", "username": username, "password": password}
        else:
            self._form |= {"grant_type": "client_credentials"}
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked: Future[str] | None = None
        self._token = ""
        self._renew_at = 0.0

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        refused = ""
        for _ in range(2):
            token = self._current(request, refused)
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code != 401:
                return
            refused = token
        with self._lock:
            if self._token == refused:
                self._token = ""

    def _current(self, request: httpx.Request, refused: str) -> str:
        """The token in use, or a new one. One call asks for it; others wait for that answer, good
        or bad, each until its own deadline.
        """
        with self._lock:
            if self._token and self._token != refused and not self._expired():
                return self._token
            waiting, asks = self._asked, self._asked is None
            if waiting is None:
                waiting = self._asked = Future()
        # A cookie session can outlive its token and keep acting as the old identity.
        request.headers.pop("Cookie", None)
        if asks:
            self._ask(request, waiting)
        try:
            return waiting.result(_left(request))
        except TimeoutError:
            raise ServiceNowUnavailable(
                "ServiceNow's sign-in did not respond in time.", kind=Kind.NETWORK, hint=TRY_AGAIN
            ) from None

    def _ask(self, request: httpx.Request, waiting: "Future[str]") -> None:
        """Fetch a token by the deadline of this request, for every call that waits for it."""
        failure: Exception | None = None
        try:
            answer = self._send(self._token_request(request))
            with self._lock:
                self._keep(answer)
        except (httpx.HTTPError, ServiceNowUnavailable) as exc:
            failure = exc
        finally:
            # Before the failure is handed out, so that a later call asks anew.
            with self._lock:
                self._asked = None
        if failure:
            waiting.set_exception(failure)
        else:
            waiting.set_result(self._token)

    def _send(self, request: httpx.Request) -> httpx.Response:
        if self.transport is None:
            raise RuntimeError("the OAuth sign-in has no transport")
        answer = self.transport.handle_request(request)
        answer.read()
        return answer

    def _expired(self) -> bool:
        return self._monotonic() >= self._renew_at

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._token_url,
            data=self._form,
            headers={"Accept": "application/json"},
            extensions=request.extensions,
        )

    def _keep(self, answer: httpx.Response) -> None:
        """Remember the token. Raises ServiceNowUnavailable: the call itself never went out."""
        body = _json_object(answer)
        token = body.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str) or not token:
            raise _refusal(answer)
        seconds = _seconds(body.get("expires_in"))
        if token != self._token:
            self.identity += 1
        self._token = token
        # The same token is handed out again with what is left of its life, which may be little.
        self._renew_at = self._monotonic() + seconds - min(EARLY_SECONDS, seconds * EARLY_SHARE)


def _json_object(answer: httpx.Response) -> dict[str, object]:
    try:
        body = json_of(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(value: object) -> float:
    try:
        return max(1.0, float(value)) if isinstance(value, str | int | float) else 60.0
    except (ValueError, OverflowError):
        return 60.0


def _left(request: httpx.Request) -> float:
    """Seconds until the deadline of a request."""
    return max(0.0, float(request.extensions["deadline"]) - time.monotonic())


def _refusal(answer: httpx.Response) -> ServiceNowUnavailable:
    details = {"path": "token", "status": str(answer.status_code)}
    if b"nstance" in answer.content and b"ibernat" in answer.content:
        return ServiceNowUnavailable(
            "The ServiceNow instance is hibernating.",
            kind=Kind.HIBERNATING,
            hint="Wake it on the ServiceNow developer site. This takes a few minutes.",
            details=details,
        )
    if answer.status_code == 429 or answer.status_code >= 500:
        return ServiceNowUnavailable(
            f"ServiceNow's sign-in service is busy (HTTP {answer.status_code}).",
            kind=Kind.BUSY,
            hint=TRY_AGAIN,
            details=details,
        )
    if answer.status_code in (400, 401, 403):
        return ServiceNowUnavailable(
            "ServiceNow rejected the OAuth sign-in.",
            kind=Kind.AUTH,
            hint="Check SN_CLIENT_ID, SN_CLIENT_SECRET and the user or refresh token; the reason "
            "is in the instance's own log.",
            details=details,
        )
    return ServiceNowUnavailable(
        f"The OAuth sign-in returned an unexpected response (HTTP {answer.status_code}).",
        kind=Kind.UNEXPECTED,
        hint="Check SN_TOKEN_URL. A proxy or log-in page may block it.",
        details=details,
    )
