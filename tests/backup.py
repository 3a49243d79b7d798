"""A backup of the database, kept and put back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, select, text

from app.db.engine import reading, writing
from app.db.tables import metadata

Rows = Sequence[Mapping[str, Any]]


def taken(engine: Engine) -> dict[str, Rows]:
    """Every row of every table."""
    with reading(engine) as conn:
        return {
            table.name: [dict(row) for row in conn.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def put_back(engine: Engine, backup: Mapping[str, Rows]) -> None:
    """The database is as it was; numbers that were given since are given again."""
    with writing(engine) as conn:
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())
        for table in metadata.sorted_tables:
            if rows := backup[table.name]:
                conn.execute(table.insert(), rows)
        for name in ("tickets", "ticket_events", "outbox"):
            last = f"(SELECT coalesce(max(id), 0) FROM {name})"
            next_one = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last} + 1, false)"
            if engine.dialect.name == "sqlite":
                next_one = f"UPDATE sqlite_sequence SET seq = {last} WHERE name = '{name}'"
            conn.execute(text(next_one))
