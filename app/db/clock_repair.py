"""What is compared with our clock, put right when that clock was set back.

A wait ends at a stored time; a lease and a pause between two looks are counted from one. After
the clock was set back such times lie in the future, and would hold things up until then.
"""

from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, update

from app.db.circuit_breaker import LONGEST as LONGEST_REST
from app.db.outbox import LONGEST_DELAY
from app.db.tables import (
    calibrations,
    choices,
    connections,
    incoming,
    login_attempts,
    outbox,
    sync_runs,
    trained_models,
)

# Clocks of the processes on one database differ by less.
TOLERATED = timedelta(seconds=30)
DAY = timedelta(days=1)
# Until when something waits, and for how long it may at most.
WAITS: dict[Column[datetime], timedelta] = {
    outbox.c.not_before: LONGEST_DELAY,
    incoming.c.due_at: DAY,
    sync_runs.c.waiting_until: DAY,
    connections.c.rests_until: LONGEST_REST,
    login_attempts.c.locked_until: timedelta(minutes=15),
}
# Until when a process works on something. It may still be at work, so a whole lease is left.
LEASES: dict[Column[datetime], timedelta] = {
    sync_runs.c.undo_due_at: timedelta(minutes=10),
    trained_models.c.lease_until: timedelta(minutes=30),
}
# When something happened, from which a lease or a pause is counted.
HAPPENED: tuple[Column[datetime], ...] = (
    outbox.c.claimed_at,
    outbox.c.unconfirmed_since,
    incoming.c.claimed_at,
    incoming.c.pulled_at,
    incoming.c.swept_at,
    incoming.c.looked_back_at,
    sync_runs.c.claimed_at,
    sync_runs.c.measured_from,
    connections.c.checked_at,
    connections.c.test_started_at,
    login_attempts.c.last_failed_at,
    trained_models.c.asked_at,
    calibrations.c.created_at,
    choices.c.fetched_at,
)


def put_right(conn: Connection, *, now: datetime, set_back: bool) -> int:
    """Bring times that cannot be to now; how many rows.

    A wait that is too long cannot be; when the clock was certainly `set_back`, no wait is known.
    """
    found = 0
    for column in HAPPENED:
        found += _bring(conn, column, to=now, after=now + TOLERATED)
    for column, longest in WAITS.items():
        found += _bring(conn, column, to=now, after=now if set_back else now + longest + TOLERATED)
    for column, lease in LEASES.items():
        found += _bring(conn, column, to=now + lease, after=now + lease + TOLERATED)
    return found


def _bring(conn: Connection, column: Column[datetime], *, to: datetime, after: datetime) -> int:
    change = update(column.table).where(column > after).values({column.name: to})
    return conn.execute(change).rowcount
