"""Imports: what became of each row, dates that narrow a pull, and when it was undone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("sync_runs") as runs:
        runs.add_column(sa.Column("updated_from", sa.DateTime(timezone=True)))
        runs.add_column(sa.Column("updated_until", sa.DateTime(timezone=True)))
        runs.add_column(sa.Column("undone_at", sa.DateTime(timezone=True)))
    op.create_table(
        "sync_rows",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("sys_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name="fk_sync_rows_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "sys_id", name="pk_sync_rows"),
    )
