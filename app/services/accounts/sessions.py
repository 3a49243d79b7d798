"""Browser sessions: start, idle timeout, expiry, end."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.db import accounts
from app.db.engine import reading, writing
from app.errors import NotFound
from app.models.accounts import Session, User
from app.security import SessionSigner, new_secret, token_hash

SESSION_LASTS = timedelta(days=14)
ACTIVITY_NOTED_EVERY = timedelta(minutes=1)
# The order matters: Edge and Opera also contain "Chrome", and Chrome contains "Safari".
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
# Phones first: Android also contains "Linux", and an iPhone contains "like Mac OS X".
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


class Sessions:
    """One row per logged-in browser; its cookie holds a signed random id."""

    def __init__(
        self, engine: Engine, *, secret_key: str, idle: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._signer = SessionSigner(secret_key)
        self._idle = idle
        self._now = now

    def open(self, user: User, *, user_agent: str = "", address: str = "") -> str:
        """Start a session for an authenticated user; returns its cookie."""
        session_id = new_secret()
        now = self._now()
        with writing(self._engine) as conn:
            accounts.remove_ended_sessions(conn, now=now, idle_since=now - self._idle)
            accounts.add_session(
                conn,
                token_hash(session_id),
                user.id,
                now=now,
                expires_at=now + SESSION_LASTS,
                browser=browser_name(user_agent),
                address=address,
            )
        return self._signer.sign(session_id)

    def user(self, cookie: str | None, *, active: bool = True) -> User | None:
        """The owner of a session, or None. `active` resets the idle timeout; polling must not."""
        key = self.key(cookie)
        if not key:
            return None
        now = self._now()
        with reading(self._engine) as conn:
            found = accounts.find_session(conn, key, now=now, idle_since=now - self._idle)
        if found is None:
            return None
        user, last_active_at = found
        if active and last_active_at <= now - ACTIVITY_NOTED_EVERY:
            with writing(self._engine) as conn:
                accounts.touch_session(conn, key, now=now)
        return user

    def list(self, user: User, cookie: str | None) -> Sequence[Session]:
        """The user's sessions, last active first; the session of `cookie` is marked as current."""
        now = self._now()
        with reading(self._engine) as conn:
            return accounts.list_sessions(
                conn, user.id, current=self.key(cookie), now=now, idle_since=now - self._idle
            )

    def end(self, cookie: str | None) -> None:
        """End the session of a cookie; an unknown cookie is ignored."""
        if key := self.key(cookie):
            with writing(self._engine) as conn:
                accounts.remove_session(conn, key)

    def end_own(self, user: User, key: str) -> None:
        """End one of the user's sessions. Raises NotFound."""
        with writing(self._engine) as conn:
            if not accounts.remove_session(conn, key, user_id=user.id):
                raise NotFound("This session has already ended.")

    def key(self, cookie: str | None) -> str:
        """The key under which a cookie's session is stored, "" for an invalid cookie."""
        session_id = self._signer.unsign(cookie or "")
        return token_hash(session_id) if session_id else ""


def browser_name(user_agent: str) -> str:
    """Browser and system of a User-Agent header, such as "Firefox on Windows"."""
    browser = next((name for sign, name in BROWSERS.items() if f"{sign}/" in user_agent), "")
    system = next((name for sign, name in SYSTEMS.items() if sign in user_agent), "")
    return " on ".join(part for part in (browser or "Unknown browser", system) if part)
