"""Triage in batches: which tickets have no reasons and steps yet, and in what order they come."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

TURN = "(CASE status WHEN 'open' THEN 0 WHEN 'in_progress' THEN 0 WHEN 'pending' THEN 1 END)"


def upgrade() -> None:
    op.add_column(
        "tickets",
        sa.Column("reasons_pending", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.drop_index("ix_tickets_untriaged", "tickets")
    for name, where in (
        ("ix_tickets_untriaged", sa.text(f"triaged_at IS NULL AND {TURN} IS NOT NULL")),
        ("ix_tickets_unexplained", sa.text(f"reasons_pending AND {TURN} IS NOT NULL")),
    ):
        op.create_index(
            name,
            "tickets",
            [sa.text(TURN), sa.text("id DESC")],
            sqlite_where=where,
            postgresql_where=where,
        )
