"""Rests of a connection: failures of one kind in a row, and until when nothing is sent."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("failures", sa.Integer))
        connections.add_column(sa.Column("failing_kind", sa.String(20)))
        connections.add_column(sa.Column("failing_reason", sa.Text))
        connections.add_column(sa.Column("failing_since", sa.DateTime(timezone=True)))
        connections.add_column(sa.Column("rests", sa.Integer))
        connections.add_column(sa.Column("rests_until", sa.DateTime(timezone=True)))
