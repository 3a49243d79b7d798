"""The assignment group of a ticket, and what it and its incident changed both."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("assignment_group", sa.String(32)))
        tickets.add_column(sa.Column("assignment_group_name", sa.Text()))
        tickets.add_column(sa.Column("sn_conflicts", sa.JSON()))
        tickets.add_column(sa.Column("sn_conflict_since", sa.DateTime(timezone=True)))
        tickets.create_index("ix_tickets_sn_conflict_since", ["sn_conflict_since"])
    with op.batch_alter_table("connections") as connections:
        connections.add_column(sa.Column("pulling", sa.Boolean()))
