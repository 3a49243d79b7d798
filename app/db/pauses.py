"""Whether the pushes of a connection are paused."""

from sqlalchemy import Connection, select

from app.db.incidents import remember_connection
from app.db.tables import connections
from app.models.servicenow import Pause


def find(conn: Connection, host: str) -> Pause | None:
    """Who paused the connection, when and why; None while pushes flow."""
    query = select(
        connections.c.paused_at, connections.c.paused_by, connections.c.paused_reason
    ).where(connections.c.host == host, connections.c.paused_at.is_not(None))
    row = conn.execute(query).first()
    return Pause(*row) if row else None


def store(conn: Connection, host: str, pause: Pause | None) -> None:
    """Pause the connection, or with None let pushes flow again."""
    remember_connection(
        conn,
        host,
        paused_at=pause.since if pause else None,
        paused_by=pause.by if pause else None,
        paused_reason=pause.reason if pause else None,
    )
