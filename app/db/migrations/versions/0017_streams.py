"""Bulk reading: streams of sys_ids, waiting for the instance, hidden rows, what an undo kept."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

COUNTS = (
    "claims",
    "stumbles",
    "measured_rows",
    "hidden",
    "removed",
    "kept_touched",
    "kept_pushed",
)
MOMENTS = ("newest_stamp", "waiting_until", "measured_from")


def upgrade() -> None:
    # Where an open run stood was one sys_id; it cannot be read on from there in streams.
    op.execute(
        "UPDATE sync_runs SET state = 'failed', error = 'The app was upgraded meanwhile.',"
        " finished_at = claimed_at WHERE state = 'running'"
    )
    with op.batch_alter_table("sync_runs") as runs:
        runs.drop_column("last_sys_id")
        runs.add_column(sa.Column("oldest_sys_id", sa.String(length=32)))
        for name in MOMENTS:
            runs.add_column(sa.Column(name, sa.DateTime(timezone=True)))
        for name in COUNTS:
            zero = sa.text("0")
            runs.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=zero))
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("page_size", sa.Integer()))
    op.create_table(
        "sync_streams",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lower", sa.String(length=32), nullable=False),
        sa.Column("upper", sa.String(length=32), nullable=False),
        sa.Column("last_sys_id", sa.String(length=32), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name="fk_sync_streams_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_sync_streams"),
    )
