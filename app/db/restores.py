"""Whether this database was restored or copied, and which keys of creates an instance keeps."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.db.incidents import connection, remember_connection
from app.db.tables import connections, outbox
from app.models.servicenow import KeptKeys, Restore


def find(conn: Connection, host: str) -> Restore | None:
    """The newest sign of it; None when there never was one."""
    columns = connections.c
    query = select(
        columns.restored_at,
        columns.restored_number,
        columns.creates_released_at,
        columns.creates_released_by,
    ).where(columns.host == host, columns.restored_at.is_not(None))
    row = conn.execute(query).first()
    return Restore(*row) if row else None


def held(conn: Connection, host: str) -> bool:
    """Whether creates wait for an admin."""
    found = find(conn, host)
    return found is not None and found.held


def note(conn: Connection, host: str, *, number: str, now: datetime) -> None:
    """Hold creates: the incident of this number was made by another copy of this database."""
    remember_connection(conn, host, restored_at=now, restored_number=number)


def release(conn: Connection, host: str, *, by: str, now: datetime) -> None:
    """Creates may go on."""
    remember_connection(conn, host, creates_released_at=now, creates_released_by=by)


def kept_keys(conn: Connection, host: str) -> KeptKeys:
    """What is known of the keys that this instance keeps."""
    row = connection(conn, host)
    return KeptKeys(row["keeps_correlation_id"], row["keeps_sys_id"]) if row else KeptKeys()


def store_kept_keys(conn: Connection, host: str, kept: KeptKeys) -> None:
    remember_connection(
        conn, host, keeps_correlation_id=kept.correlation_id, keeps_sys_id=kept.sys_id
    )


def last_queued(conn: Connection) -> int:
    """The id of the newest outbox item, 0 before the first one."""
    return conn.execute(select(func.max(outbox.c.id))).scalar_one() or 0
