"""The rate limiter: our calls counted against the limit that an instance's answers name."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from app.errors import HeldBack, Kind
from app.integrations.servicenow.answers import http_date, retry_after

LIMIT, RESET, RULE = "X-RateLimit-Limit", "X-RateLimit-Reset", "X-RateLimit-Rule"
LEAST_ROOM = 3
# Rate rules count by the hour: whatever asks for a longer wait was misread.
LONGEST_WAIT = 3600.0
WHOLE = re.compile(r"[0-9]{1,12}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Window:
    """Calls under one rule until its count starts anew; `reset` is the instance's UNIX time."""

    reset: int
    until: datetime
    limit: int
    used: int = 0

    def spent(self, under_way: int) -> bool:
        """True when what is under way would take from the room that is kept for clicks."""
        room = min(max(LEAST_ROOM, self.limit // 10), self.limit // 2)
        return self.limit - self.used - under_way < room


class RateLimiter:
    """Holds calls in the background back before a rate rule would refuse people's clicks.

    An answer tells its rule, the limit and the end of the window, never how many are left
    (docs/servicenow.md 5.2): so answers are counted here. Others who use the same account are not
    seen; their calls show in a refusal, whose Retry-After is kept.
    """

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._refused_until: datetime | None = None

    def hold_back(self, *, under_way: int) -> None:
        """Raises HeldBack while the background has to wait; `under_way` counts the call itself."""
        with self._lock:
            now = self._now()
            ends = [one.until for one in self._windows.values() if one.spent(under_way)]
        until = max(filter(None, (self._refused_until, *ends)), default=now)
        if until > now + timedelta(seconds=LONGEST_WAIT):
            self._forget()
        elif until > now:
            raise HeldBack(
                "The ServiceNow rate limit is nearly reached. The remaining requests are"
                " reserved for users.",
                kind=Kind.RATE,
                hint="It continues automatically when the limit resets.",
                retry_after=(until - now).total_seconds(),
            )

    def _forget(self) -> None:
        """Our clock was set back: what was counted by it says nothing any more."""
        with self._lock:
            self._windows.clear()
            self._refused_until = None

    def learn(self, response: httpx.Response) -> None:
        """Count an answer where its headers name a rule, and keep what a refusal asks for."""
        now = self._now()
        headers = response.headers
        limit, reset = (WHOLE.fullmatch(headers.get(name, "")) for name in (LIMIT, RESET))
        wait = retry_after(response) if response.status_code == 429 else None
        with self._lock:
            if wait:
                asked = now + timedelta(seconds=min(wait, LONGEST_WAIT))
                self._refused_until = max(asked, self._refused_until or asked)
            if limit and reset:
                seconds = int(reset[0]) - _sent_at(response, now).timestamp()
                until = now + timedelta(seconds=min(seconds, LONGEST_WAIT))
                told = _Window(int(reset[0]), until, int(limit[0]))
                self._count(headers.get(RULE, ""), told, now=now)

    def _count(self, rule: str, told: _Window, *, now: datetime) -> None:
        window = self._windows.get(rule)
        if window is None or window.until <= now or window.reset < told.reset:
            window = self._windows[rule] = told
        window.limit = told.limit
        window.used += 1


def _sent_at(response: httpx.Response, now: datetime) -> datetime:
    """By the instance's own clock, which ours may differ from."""
    return http_date(response.headers.get("Date", "")) or now
