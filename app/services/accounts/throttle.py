"""Throttling of log-ins: a growing wait per network address, and per account and address."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection, Engine

from app.db import login_failures
from app.db.engine import writing
from app.errors import Invalid, TooManyAttempts

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
QUIET = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures cause no wait; one failure is removed per `forgiven_every`."""

    key: str
    free: int
    forgiven_every: timedelta
    longest_wait: timedelta = LONGEST_WAIT


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of an attempt.

    `shared`: many people have this address, because forwarded headers were not trusted.
    `device`: the id of a valid device cookie for the account, else "".
    """

    address: str = ""
    shared: bool = False
    device: str = ""


class Throttle:
    """Counts failures in the database, so that restarts and other processes share the counts.

    Failures count per account and address, so that a stranger does not delay the owner. A device
    that logged in before has its own count. A wait is at most 15 minutes, attempts during a wait
    do not extend it, and failures are removed over time.
    """

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    @contextmanager
    def attempt(self, account: str, source: Source | None = None) -> Iterator[None]:
        """Context manager for one password check; Invalid raised inside makes it a failure.

        An attempt counts as failed until it succeeds, so that parallel attempts gain nothing.
        Raises TooManyAttempts before the check during a wait.
        """
        own, *others = self._claimed(account, source or Source())
        try:
            yield
        except Invalid:
            raise
        except BaseException:
            self._take_back([own, *others])
            raise
        with writing(self._engine) as conn:
            login_failures.forget(conn, own.key)
        self._take_back(others)

    def clear(self, conn: Connection, account: str) -> None:
        """Delete the failures of an account whose owner is authenticated."""
        login_failures.forget_all(conn, account_key(account))

    def _claimed(self, account: str, source: Source) -> Sequence[Limit]:
        """Add one failure to each limit and return the limits; a device in a wait is ignored.

        A device cookie may be stolen, so its wait must not delay the owner.
        """
        limits = _limits(account, source)
        try:
            self._claim(limits)
        except TooManyAttempts:
            if not source.device:
                raise
            return self._claimed(account, replace(source, device=""))
        return limits

    def _claim(self, limits: Sequence[Limit]) -> None:
        now = self._now()
        with writing(self._engine) as conn:
            login_failures.forget_before(conn, now - QUIET)
            waits = [login_failures.find_locked_until(conn, limit.key) for limit in limits]
            until = max((moment for moment in waits if moment), default=now)
            if until > now:
                seconds = max(1, round((until - now).total_seconds()))
                raise TooManyAttempts(
                    f"Too many failed attempts. Try again in {_words(seconds)}.",
                    retry_after=seconds,
                )
            for limit in limits:
                failures = login_failures.count(
                    conn, limit.key, now=now, forgiven_every=limit.forgiven_every
                )
                if failures >= limit.free:
                    wait = min(wait_after(failures - limit.free), limit.longest_wait)
                    login_failures.lock(conn, limit.key, until=now + wait)

    def _take_back(self, limits: Sequence[Limit]) -> None:
        with writing(self._engine) as conn:
            for limit in limits:
                login_failures.uncount(conn, limit.key)


def _limits(account: str, source: Source) -> list[Limit]:
    """The limit of the account first, then the limit of the address."""
    key = account_key(account) + address_key(source.address)
    if source.device:
        key = f"device:{source.device}"
    own = Limit(key, 5, timedelta(minutes=10))
    if not source.address:
        return [own]
    if source.shared and source.device:
        # Everyone shares this address: a stranger's guesses must not lock out a known browser.
        return [own]
    # Many people can share one address, and more can share an unknown proxy.
    key, often = address_key(source.address), timedelta(minutes=2)
    if source.shared:
        return [own, Limit(key, 50, often, longest_wait=FIRST_WAIT)]
    return [own, Limit(key, 30, often)]


def wait_after(extra: int) -> timedelta:
    """Five seconds, doubled per further failure, at most 15 minutes."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(extra, 20)
    return min(doubled, LONGEST_WAIT)


def account_key(account: str) -> str:
    """The key prefix of an account, hashed because people type passwords into the wrong field."""
    return f"account:{sha256(account.encode('utf-8', 'surrogatepass')).hexdigest()}@"


def address_key(address: str) -> str:
    """One key per IPv4 address or IPv6 /64 network, which one customer owns."""
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
    if seconds >= 120:
        return f"{-(-seconds // 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
