"""Signing in to an instance, as httpx auth flows: basic, and OAuth with a cached token."""

import json
import threading
import time
from collections.abc import Callable, Generator

import httpx

from app.errors import Kind, ServiceNowUnavailable
from app.integrations.servicenow_answers import TRY_AGAIN

EARLY_SECONDS = 30.0
EARLY_SHARE = 0.1


class BasicAuth(httpx.BasicAuth):
    """User name and password with every call; a refusal is final."""

    identity = 0


class OAuth(httpx.Auth):
    """OAuth 2.0 (servicenow.md 4.2): refresh token, else password grant, else client credentials.

    The token is cached and renewed early under a lock. A call that is answered 401 drops the
    token, fetches once and is repeated once: a 401 applied nothing, so this holds for writes too.
    """

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
        self._token = ""
        self._renew_at = 0.0

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Hold the lock while a token is fetched, so that one caller fetches for all."""
        refused = ""
        for _ in range(2):
            with self._lock:
                if not self._token or self._token == refused or self._expired():
                    answer = yield self._token_request(request)
                    answer.read()
                    self._keep(answer)
                    # A cookie session can outlive its token and keep acting as the old identity.
                    request.headers.pop("Cookie", None)
                token = self._token
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code != 401:
                return
            refused = token
        with self._lock:
            if self._token == refused:
                self._token = ""

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
        body = json.loads(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(value: object) -> float:
    try:
        return max(1.0, float(str(value)))
    except ValueError:
        return 60.0


def _refusal(answer: httpx.Response) -> ServiceNowUnavailable:
    details = {"path": "token", "status": str(answer.status_code)}
    if b"nstance" in answer.content and b"ibernat" in answer.content:
        return ServiceNowUnavailable(
            "The ServiceNow instance is asleep.",
            kind=Kind.HIBERNATING,
            hint="Wake it on the developer site; that takes a few minutes.",
            details=details,
        )
    if answer.status_code == 429 or answer.status_code >= 500:
        return ServiceNowUnavailable(
            f"ServiceNow's sign-in is busy (HTTP {answer.status_code}).",
            kind=Kind.BUSY,
            hint=TRY_AGAIN,
            details=details,
        )
    if answer.status_code in (400, 401, 403):
        return ServiceNowUnavailable(
            "ServiceNow refused the OAuth sign-in.",
            kind=Kind.AUTH,
            hint="Check SN_CLIENT_ID, SN_CLIENT_SECRET and the user or refresh token; the reason "
            "is in the instance's own log.",
            details=details,
        )
    return ServiceNowUnavailable(
        f"The OAuth sign-in was answered with something else (HTTP {answer.status_code}).",
        kind=Kind.UNEXPECTED,
        hint="Check SN_TOKEN_URL; a proxy or log-in page may stand before it.",
        details=details,
    )
