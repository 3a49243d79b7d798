"""Who calls: basic authentication and OAuth tokens."""

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any


class Accounts:
    """One integration user and one OAuth client; every attribute may be changed."""

    def __init__(self) -> None:
        self.user = "copilot"
        self.password = "copilot-secret"
        self.client_id = "copilot-client"
        self.client_secret = "client-secret"
        self.refresh_token = "refresh-secret"
        self.token_seconds = 1800
        self.basic_allowed = True
        self.password_grant_allowed = True
        self.client_credentials_allowed = True
        self.rfc_errors = False
        self._token = ""
        self._expires_at = 0.0

    def who(self, authorization: str) -> str | None:
        """The user name for an Authorization header, None when it is not good."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            good = self._token and secrets.compare_digest(value, self._token)
            return self.user if good and time.monotonic() < self._expires_at else None
        if scheme.lower() != "basic" or not self.basic_allowed:
            return None
        try:
            pair = base64.b64decode(value).decode()
        except ValueError:
            return None
        return self.user if pair == f"{self.user}:{self.password}" else None

    def expire_tokens(self) -> None:
        self._token = ""

    def token(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """The answer of /oauth_token.do: status and body."""
        if (form.get("client_id"), form.get("client_secret")) != (
            self.client_id,
            self.client_secret,
        ):
            return self._refuse("invalid_client")
        grant = form.get("grant_type")
        if grant == "client_credentials":
            if not self.client_credentials_allowed:
                return self._refuse("unsupported_grant_type")
            return 200, self._issue()
        good = grant == "refresh_token" and form.get("refresh_token") == self.refresh_token
        if grant == "password" and self.password_grant_allowed:
            pair = (form.get("username"), form.get("password"))
            good = pair == (self.user, self.password)
        if not good:
            return self._refuse("invalid_grant")
        return 200, self._issue() | {"refresh_token": self.refresh_token}

    def _issue(self) -> dict[str, Any]:
        """The same token again inside its lifetime, with what is left of it."""
        now = time.monotonic()
        if not self._token or now >= self._expires_at:
            self._token = secrets.token_urlsafe(32)
            self._expires_at = now + self.token_seconds
        return {
            "access_token": self._token,
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": max(0, int(self._expires_at - now) - (self.token_seconds > 1)),
        }

    def _refuse(self, rfc: str) -> tuple[int, dict[str, Any]]:
        if self.rfc_errors:
            return 401, {"error": rfc, "error_description": rfc.replace("_", " ")}
        return 401, {"error_description": "access_denied", "error": "server_error"}
