"""A connection can be paused: pushes wait, and everybody sees since when, who and why."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("paused_at", sa.DateTime(timezone=True)))
        connections.add_column(sa.Column("paused_by", sa.String(length=254)))
        connections.add_column(sa.Column("paused_reason", sa.Text()))
