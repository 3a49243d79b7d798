"""Sessions of browsers: opened by a log-in, ended by time, idleness, a log-out or their owner."""

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
# In this order: Edge and Opera also call themselves Chrome, and Chrome calls itself Safari.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
# Phones first: Android also calls itself Linux, an iPhone also says "like Mac OS X".
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
    """One row for each browser that is logged in; its cookie holds a signed random id."""

    def __init__(
        self, engine: Engine, *, secret_key: str, idle: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._signer = SessionSigner(secret_key)
        self._idle = idle
        self._now = now

    def open(self, user: User, *, user_agent: str = "", address: str = "") -> str:
        """The cookie of a new session, for a user who has proved who they are."""
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
        """Whose session this is. `active` postpones the idle time-out; polling does not."""
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
        """The user's sessions, the latest active first; that of `cookie` is marked."""
        now = self._now()
        with reading(self._engine) as conn:
            return accounts.list_sessions(
                conn, user.id, current=self.key(cookie), now=now, idle_since=now - self._idle
            )

    def end(self, cookie: str | None) -> None:
        """End the session of this cookie; an unknown cookie is no error."""
        if key := self.key(cookie):
            with writing(self._engine) as conn:
                accounts.remove_session(conn, key)

    def end_own(self, user: User, key: str) -> None:
        """End one of the user's sessions. Raises NotFound."""
        with writing(self._engine) as conn:
            if not accounts.remove_session(conn, key, user_id=user.id):
                raise NotFound("This session has ended already.")

    def key(self, cookie: str | None) -> str:
        """What the session of a cookie is stored under, "" for a cookie that was not made here."""
        session_id = self._signer.unsign(cookie or "")
        return token_hash(session_id) if session_id else ""


def browser_name(user_agent: str) -> str:
    """Such as "Firefox on Windows"; nothing else of the header is kept."""
    browser = next((name for sign, name in BROWSERS.items() if f"{sign}/" in user_agent), "")
    system = next((name for sign, name in SYSTEMS.items() if sign in user_agent), "")
    return " on ".join(part for part in (browser or "Unknown browser", system) if part)
