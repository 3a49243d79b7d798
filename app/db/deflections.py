"""Questions that an article answered before they became a ticket."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.db.tables import deflections
from app.db.upserts import upsert


def store(conn: Connection, key: str, *, slug: str, question: str, now: datetime) -> None:
    """Count one; the same form pressed twice counts once. `question` is masked already."""
    upsert(
        conn,
        deflections,
        [{"key": key, "slug": slug, "question": question, "created_at": now}],
    )


def count(conn: Connection, *, since: datetime) -> int:
    """How many since then."""
    query = select(func.count()).select_from(deflections)
    return conn.execute(query.where(deflections.c.created_at >= since)).scalar_one()
