"""Random keys of creates, and whether one was ever sent from here."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from app.db.tables import outbox, spent_keys
from app.db.upserts import insert_into


def draw() -> str:
    """128 random bits as hexadecimal digits: a key of a create, or the mark of a note."""
    return secrets.token_hex(16)


def spend(conn: Connection, keys: Iterable[str], *, now: datetime) -> None:
    """No ticket uses these keys again, and an incident that carries one is no news."""
    rows = [{"key": key, "spent_at": now} for key in keys]
    if not rows:
        return
    conn.execute(insert_into(conn, spent_keys).on_conflict_do_nothing(), rows)


def unknown(conn: Connection, keys: Mapping[str, str]) -> set[str]:
    """Those of the given keys, by correlation id, that were never sent or spent here."""
    sent = select(outbox.c.correlation_id).where(
        outbox.c.correlation_id.in_(list(keys)), outbox.c.sent_at.is_not(None)
    )
    spent = select(spent_keys.c.key).where(spent_keys.c.key.in_(list(keys.values())))
    known = {keys[one] for one in conn.execute(sent).scalars()}
    return set(keys.values()) - known - set(conn.execute(spent).scalars())
