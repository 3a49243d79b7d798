"""Incidents that carry a ticket's key beside the one it is linked to."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, select, update

from app.db.tables import duplicates
from app.db.upserts import upsert
from app.models.servicenow import Duplicate


def _duplicate(row: RowMapping) -> Duplicate:
    return Duplicate(**{name: row[name] for name in Duplicate.__dataclass_fields__})


def add(
    conn: Connection, ticket_id: int, *, sys_id: str, number: str, host: str, now: datetime
) -> None:
    """Remember one; found again it is not cancelled any more."""
    row = {
        "sys_id": sys_id,
        "ticket_id": ticket_id,
        "number": number,
        "host": host,
        "found_at": now,
        "cancelled_at": None,
        "cancelled_by": None,
    }
    upsert(conn, duplicates, [row])


def of_ticket(conn: Connection, ticket_id: int) -> tuple[Duplicate, ...]:
    """Those that nobody has cancelled yet."""
    query = select(duplicates).where(
        duplicates.c.ticket_id == ticket_id, duplicates.c.cancelled_at.is_(None)
    )
    rows = conn.execute(query.order_by(duplicates.c.found_at, duplicates.c.number)).mappings()
    return tuple(_duplicate(row) for row in rows)


def cancel(conn: Connection, sys_id: str, *, by: str, now: datetime) -> bool:
    """Mark one as cancelled; False when somebody was faster."""
    row = conn.execute(
        update(duplicates)
        .where(duplicates.c.sys_id == sys_id, duplicates.c.cancelled_at.is_(None))
        .values(cancelled_at=now, cancelled_by=by)
    )
    return row.rowcount == 1
