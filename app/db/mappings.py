"""The maps between our words and an instance's values, where an admin changed them."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from app.db.tables import mapping_changes, mappings
from app.db.upserts import upsert
from app.models.servicenow_pages import FieldChange, MapsChange, StoredMaps


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


def note_change(
    conn: Connection, host: str, changes: Iterable[FieldChange], *, by: str, now: datetime
) -> None:
    """Keep who changed which entries."""
    fields = [asdict(change) for change in changes]
    conn.execute(
        mapping_changes.insert().values(host=host, changes=fields, changed_by=by, changed_at=now)
    )


def history(conn: Connection, host: str, *, limit: int) -> tuple[MapsChange, ...]:
    """The last changes of this instance's maps, newest first."""
    query = select(mapping_changes).where(mapping_changes.c.host == host)
    rows = conn.execute(query.order_by(mapping_changes.c.id.desc()).limit(limit)).mappings()
    return tuple(
        MapsChange(
            tuple(FieldChange(**change) for change in row["changes"]),
            row["changed_by"],
            row["changed_at"],
        )
        for row in rows
    )
