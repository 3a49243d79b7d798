"""Insert, replace or leave out, on either database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.schema import Table


def insert_into(conn: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert of this database's own kind, which knows ON CONFLICT."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(
    conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *, keys: Sequence[str] = ()
) -> None:
    """Insert rows or replace those with the same `keys`, by default the primary key."""
    if not rows:
        return
    statement = insert_into(conn, table)
    keys = keys or [column.name for column in table.primary_key]
    new = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)
