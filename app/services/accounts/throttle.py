"""Slows down guessing: a growing wait per network address, and per account and address."""

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
    """`free` failures cost no wait; one is forgiven per `forgiven_every`."""

    key: str
    free: int
    forgiven_every: timedelta
    longest_wait: timedelta = LONGEST_WAIT


@dataclass(frozen=True, slots=True)
class Source:
    """Where an attempt comes from.

    `shared`: many people have this address, because forwarded headers could not be used.
    `device`: id of a valid device cookie for the account, else "".
    """

    address: str = ""
    shared: bool = False
    device: str = ""


class Throttle:
    """Counts in the database, so a restart or a second process forgets nothing.

    Failures at an account count for the address they came from, so a stranger elsewhere does not
    delay its owner. A device that logged in before has a count of its own. No wait is longer than
    15 minutes, attempts during a wait do not prolong it, and failures are forgiven with time.
    """

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    @contextmanager
    def attempt(self, account: str, source: Source | None = None) -> Iterator[None]:
        """Frames one check of a password; Invalid raised inside makes it a failure.

        It counts as failed until it worked, so that many attempts at once gain nothing. Raises
        TooManyAttempts, and checks nothing, during a wait.
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
        """Forget the failures of an account whose owner proved who they are."""
        login_failures.forget_all(conn, account_key(account))

    def _claimed(self, account: str, source: Source) -> Sequence[Limit]:
        """The limits that now count one failure more; without the device while that waits.

        A device cookie may be stolen, so a wait of the device is not one of its owner.
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
    """The account's limit first, then that of the address."""
    key = account_key(account) + address_key(source.address)
    if source.device:
        key = f"device:{source.device}"
    own = Limit(key, 5, timedelta(minutes=10))
    if not source.address:
        return [own]
    if source.shared and source.device:
        # Everybody comes from there: what strangers guess must not keep a known browser out.
        return [own]
    # Many people may sit behind one address, and more behind an unknown proxy.
    key, often = address_key(source.address), timedelta(minutes=2)
    if source.shared:
        return [own, Limit(key, 50, often, longest_wait=FIRST_WAIT)]
    return [own, Limit(key, 30, often)]


def wait_after(extra: int) -> timedelta:
    """Five seconds, doubled per further failure, 15 minutes at most."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(extra, 20)
    return min(doubled, LONGEST_WAIT)


def account_key(account: str) -> str:
    """How the keys of an account begin; hashed, because people type passwords anywhere."""
    return f"account:{sha256(account.encode('utf-8', 'surrogatepass')).hexdigest()}@"


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
