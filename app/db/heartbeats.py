"""The pulse of the worker's threads."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.db.tables import heartbeats
from app.db.upserts import upsert


def store(conn: Connection, name: str, *, now: datetime) -> None:
    upsert(conn, heartbeats, [{"name": name, "beat_at": now}])


def find_newest(conn: Connection) -> datetime | None:
    """The last sign of life of any thread."""
    newest: datetime | None = conn.execute(select(func.max(heartbeats.c.beat_at))).scalar_one()
    return newest
