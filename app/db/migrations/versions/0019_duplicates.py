"""Incidents that carry a ticket's key beside the one it is linked to."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "duplicates",
        sa.Column("sys_id", sa.String(32), primary_key=True),
        sa.Column(
            "ticket_id", sa.Integer, sa.ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True)),
        sa.Column("cancelled_by", sa.String(254)),
    )
    op.create_index("ix_duplicates_ticket_id", "duplicates", ["ticket_id"])
