"""Failed log-ins, counted per key: an account or an address."""

from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.db.tables import login_attempts


def forget_before(conn: Connection, moment: datetime) -> None:
    """Drop what failed before `moment` and has been quiet since."""
    conn.execute(delete(login_attempts).where(login_attempts.c.last_failed_at < moment))


def forget(conn: Connection, key: str) -> None:
    conn.execute(delete(login_attempts).where(login_attempts.c.key == key))


def find_locked_until(conn: Connection, key: str) -> datetime | None:
    """When the key may try again. Its row stays locked until the transaction ends."""
    query = select(login_attempts.c.locked_until).where(login_attempts.c.key == key)
    return conn.execute(query.with_for_update()).scalar_one_or_none()


def count(conn: Connection, key: str, *, now: datetime) -> int:
    """Add one failure and answer how many there are."""
    maker = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    statement = maker(login_attempts).values(key=key, failures=1, last_failed_at=now)
    counted = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"failures": login_attempts.c.failures + 1, "last_failed_at": now},
    ).returning(login_attempts.c.failures)
    failures: int = conn.execute(counted).scalar_one()
    return failures


def uncount(conn: Connection, key: str) -> None:
    """Take one failure and its wait back."""
    conn.execute(
        update(login_attempts)
        .where(login_attempts.c.key == key)
        .values(failures=login_attempts.c.failures - 1, locked_until=None)
    )


def lock(conn: Connection, key: str, *, until: datetime) -> None:
    conn.execute(
        update(login_attempts).where(login_attempts.c.key == key).values(locked_until=until)
    )
