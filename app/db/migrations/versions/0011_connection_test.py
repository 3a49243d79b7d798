"""The connection test: who runs it, and its steps so far."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("test_started_at", sa.DateTime(timezone=True)))
        connections.add_column(sa.Column("test_finished_at", sa.DateTime(timezone=True)))
        connections.add_column(sa.Column("test_checks", sa.JSON()))
