"""Clocks of a pull, one open run at a time, and on SQLite no id that is given twice."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

OPEN = "state IN ('queued', 'running')"
# Their ids are kept beside the row: in the history, in reports, by senders, on the instance.
NEVER_AGAIN = ("tickets", "ticket_events", "outbox", "sync_runs", "users", "trained_models")
# Where the id of a ticket that is gone may still stand.
OF_TICKETS = ("exchanges", "sync_rows")
KEY = re.compile(r",\s*CONSTRAINT \w+ PRIMARY KEY \(id\)")


def upgrade() -> None:
    with op.batch_alter_table("incoming") as incoming:
        incoming.add_column(sa.Column("looked_back_at", sa.DateTime(timezone=True)))
        incoming.add_column(sa.Column("ahead_at", sa.DateTime(timezone=True)))
        incoming.add_column(sa.Column("clock_ahead", sa.Integer()))
    op.execute(
        "UPDATE sync_runs SET state = 'failed', error = 'Another pull was started with this one.'"
        f" WHERE {OPEN} AND id > (SELECT min(id) FROM sync_runs WHERE {OPEN})"
    )
    with op.batch_alter_table("sync_runs") as runs:
        one = sa.text("1")
        runs.add_column(sa.Column("slot", sa.Integer(), nullable=False, server_default=one))
    where = sa.text(OPEN)
    op.create_index(
        "uq_sync_runs_open",
        "sync_runs",
        ["slot"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    if op.get_bind().dialect.name == "sqlite":
        for table in NEVER_AGAIN:
            _give_no_id_twice(table)
        for table in OF_TICKETS:
            op.execute(
                "UPDATE sqlite_sequence SET seq ="
                f" max(seq, coalesce((SELECT max(ticket_id) FROM {table}), 0))"
                " WHERE name = 'tickets'"
            )


def _give_no_id_twice(table: str) -> None:
    """Build the table again, with all that belongs to it, under AUTOINCREMENT.

    Foreign keys are off while migrations run, so nothing follows the old table when it goes.
    """
    conn = op.get_bind()
    parts = conn.exec_driver_sql(
        "SELECT type, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,)
    ).all()
    (made,) = (sql for kind, sql in parts if kind == "table")
    anew = KEY.sub("", made).replace(
        "id INTEGER NOT NULL", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", 1
    )
    anew = re.sub(rf'^CREATE TABLE "?{table}"?', f"CREATE TABLE {table}_anew", anew)
    conn.exec_driver_sql(anew)
    conn.exec_driver_sql(f"INSERT INTO {table}_anew SELECT * FROM {table} ORDER BY id")
    conn.exec_driver_sql(f"DROP TABLE {table}")
    conn.exec_driver_sql(f"ALTER TABLE {table}_anew RENAME TO {table}")
    for kind, sql in parts:
        if kind in ("index", "trigger"):
            conn.exec_driver_sql(sql)
