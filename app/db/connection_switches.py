"""What an admin switched for a connection."""

from sqlalchemy import Connection, select

from app.db.incidents import remember_connection
from app.db.tables import connections


def pulling(conn: Connection, host: str) -> bool:
    """Whether changes made there are taken into linked tickets by themselves."""
    query = select(connections.c.pulling).where(connections.c.host == host)
    return conn.execute(query).scalar_one_or_none() is not False


def switch_pulling(conn: Connection, host: str, *, on: bool) -> None:
    remember_connection(conn, host, pulling=on)
