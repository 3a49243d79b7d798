"""The connection test of an instance: who runs it, and its steps so far."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, or_, update

from app.db.incidents import connection, remember_connection
from app.db.tables import connections
from app.models.views import Check


def claim(conn: Connection, host: str, *, now: datetime, dead_before: datetime) -> bool:
    """Start a test unless one runs; one that was started before `dead_before` has died."""
    if connection(conn, host) is None:
        remember_connection(conn, host, test_checks=[])
    row = conn.execute(
        update(connections)
        .where(
            connections.c.host == host,
            or_(
                connections.c.test_started_at.is_(None),
                connections.c.test_finished_at.is_not(None),
                connections.c.test_started_at < dead_before,
            ),
        )
        .values(test_started_at=now, test_finished_at=None, test_checks=[])
    )
    return row.rowcount == 1


def store(
    conn: Connection, host: str, done: Iterable[Check], *, finished_at: datetime | None
) -> None:
    """The steps that have ended, and whether these are all."""
    steps = [asdict(check) for check in done]
    remember_connection(conn, host, test_checks=steps, test_finished_at=finished_at)
