"""Slows down guessing: a growing wait per account and per network address."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection, Engine

from app.db import attempts
from app.db.engine import writing
from app.errors import Invalid, TooManyAttempts

FREE_PER_ACCOUNT = 5
# Many people may sit behind one address.
FREE_PER_ADDRESS = 30
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
QUIET = timedelta(hours=1)


class Throttle:
    """Counts in the database, so a restart or a second process forgets nothing.

    No wait is longer than 15 minutes, tries during a wait do not prolong it, and an hour of
    quiet clears the count. Somebody who keeps failing at a known account can thus delay its
    owner, never lock them out for good; a reset link clears the account's count at once.
    """

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    @contextmanager
    def attempt(self, account: str, *, address: str = "") -> Iterator[None]:
        """Frames one check of a password; Invalid raised inside makes it a failure.

        It counts as failed until it worked, so that many tries at once gain nothing. Raises
        TooManyAttempts, and checks nothing, during a wait.
        """
        limits = {account_key(account): FREE_PER_ACCOUNT}
        if address:
            limits[address_key(address)] = FREE_PER_ADDRESS
        self._claim(limits)
        try:
            yield
        except Invalid:
            raise
        except BaseException:
            self._take_back(limits)
            raise
        with writing(self._engine) as conn:
            attempts.forget(conn, account_key(account))
            if address:
                attempts.uncount(conn, address_key(address))

    def clear(self, conn: Connection, account: str) -> None:
        """Forget the failures of an account whose owner proved who they are."""
        attempts.forget(conn, account_key(account))

    def _claim(self, limits: dict[str, int]) -> None:
        now = self._now()
        with writing(self._engine) as conn:
            attempts.forget_before(conn, now - QUIET)
            waits = [attempts.find_locked_until(conn, key) for key in limits]
            until = max((moment for moment in waits if moment), default=now)
            if until > now:
                seconds = max(1, round((until - now).total_seconds()))
                raise TooManyAttempts(
                    f"Too many failed attempts. Try again in {_words(seconds)}.",
                    retry_after=seconds,
                )
            for key, free in limits.items():
                failures = attempts.count(conn, key, now=now)
                if failures >= free:
                    attempts.lock(conn, key, until=now + wait_after(failures - free))

    def _take_back(self, limits: dict[str, int]) -> None:
        with writing(self._engine) as conn:
            for key in limits:
                attempts.uncount(conn, key)


def wait_after(extra: int) -> timedelta:
    """Five seconds, doubled per further failure, 15 minutes at most."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(extra, 20)
    return min(doubled, LONGEST_WAIT)


def account_key(account: str) -> str:
    # Hashed: people type passwords into the wrong field.
    return f"account:{sha256(account.encode('utf-8', 'surrogatepass')).hexdigest()}"


def address_key(address: str) -> str:
    """One key per IPv4 address or IPv6 network: a single line owns 2**64 IPv6 addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address:{address[:100]}"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        network = str(mapped) if mapped else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
        return f"address:{network}"
    return f"address:{parsed}"


def _words(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
