"""The maps between our words and an instance's values, where an admin changed them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from app.db.tables import mappings
from app.db.upserts import upsert
from app.models import StoredMaps


def find(conn: Connection, host: str) -> StoredMaps | None:
    """What was stored last for this instance; None while the defaults hold."""
    row = conn.execute(select(mappings).where(mappings.c.host == host)).mappings().first()
    return StoredMaps(row["maps"], row["changed_at"], row["changed_by"]) if row else None


def store(
    conn: Connection, host: str, maps: dict[str, dict[str, str]], *, by: str, now: datetime
) -> None:
    row: dict[str, Any] = {"host": host, "maps": maps, "changed_at": now, "changed_by": by}
    upsert(conn, mappings, [row])


def forget(conn: Connection, host: str) -> None:
    """Back to the defaults."""
    conn.execute(delete(mappings).where(mappings.c.host == host))
