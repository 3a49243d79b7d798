"""The rest of a connection: failures of one kind in a row, and until when nothing is sent."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from app.db.incidents import Seen, remember_connection
from app.db.tables import connections
from app.errors import Kind
from app.models.servicenow import Rest

FAILURES = 5
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(minutes=15)


def find(conn: Connection, host: str, *, now: datetime) -> Rest | None:
    """The rest that is under way; None while the connection works or may be tried."""
    columns = (
        connections.c.failing_since,
        connections.c.rests_until,
        connections.c.failing_reason,
        connections.c.failures,
    )
    query = select(*columns).where(connections.c.host == host, connections.c.rests_until > now)
    row = conn.execute(query).first()
    return Rest(*row) if row else None


def note_failure(conn: Connection, host: str, *, kind: Kind, reason: str, now: datetime) -> None:
    """Five of one kind in a row begin a rest; after it a single failure begins the next.

    Each is twice as long as the one before: 1 minute to 15. Failures of what was under way when
    a rest began do not make it longer.
    """
    query = select(connections).where(connections.c.host == host).with_for_update()
    row = conn.execute(query).mappings().first()
    before: dict[str, Any] = dict(row) if row else {}
    goes_on = before.get("failing_kind") == kind
    failures = before["failures"] + 1 if goes_on else 1
    values: Seen = {
        "failures": failures,
        "failing_kind": kind,
        "failing_reason": reason,
        "failing_since": before["failing_since"] if goes_on else now,
    }
    until, rests = before.get("rests_until"), before.get("rests") or 0
    if not (until and until > now) and (rests or failures >= FAILURES):
        values |= {"rests_until": now + min(SHORTEST * 2**rests, LONGEST), "rests": rests + 1}
    remember_connection(conn, host, **values)


def end(conn: Connection, host: str) -> None:
    """Something worked: the count starts anew."""
    conn.execute(
        update(connections)
        .where(connections.c.host == host, connections.c.failing_kind.is_not(None))
        .values(
            failures=0,
            failing_kind=None,
            failing_reason=None,
            failing_since=None,
            rests=0,
            rests_until=None,
        )
    )
