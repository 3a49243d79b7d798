"""Failed log-ins, counted per key: an address, an account at an address, or a device."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from app.db.tables import login_attempts
from app.db.upserts import insert_into


def forget_before(conn: Connection, moment: datetime) -> None:
    """Drop what failed before `moment` and has been quiet since."""
    conn.execute(delete(login_attempts).where(login_attempts.c.last_failed_at < moment))


def forget(conn: Connection, key: str) -> None:
    conn.execute(delete(login_attempts).where(login_attempts.c.key == key))


def forget_all(conn: Connection, start: str) -> None:
    """Forget every key that begins with `start`."""
    conn.execute(
        delete(login_attempts).where(login_attempts.c.key.startswith(start, autoescape=True))
    )


def find_locked_until(conn: Connection, key: str) -> datetime | None:
    """When the key may try again. Its row stays locked until the transaction ends."""
    query = select(login_attempts.c.locked_until).where(login_attempts.c.key == key)
    return conn.execute(query.with_for_update()).scalar_one_or_none()


def count(conn: Connection, key: str, *, now: datetime, forgiven_every: timedelta) -> int:
    """Add one failure and answer how many there are; time forgives one after the other."""
    table = login_attempts.c
    query = select(table.failures, table.last_failed_at).where(table.key == key).with_for_update()
    row = conn.execute(query).first()
    before, last = (row.failures, row.last_failed_at) if row else (0, now)
    forgiven, left = divmod(max(now - last, timedelta(0)), forgiven_every)
    kept = max(0, before - forgiven)
    stamp = now - left if kept else now
    statement = insert_into(conn, login_attempts).values(key=key, failures=1, last_failed_at=now)
    # Without a row before, another process may have made one meanwhile.
    failures = kept + 1 if row else table.failures + 1
    counted = statement.on_conflict_do_update(
        index_elements=["key"], set_={"failures": failures, "last_failed_at": stamp}
    ).returning(table.failures)
    total: int = conn.execute(counted).scalar_one()
    return total


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
