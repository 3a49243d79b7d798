"""Triage looks for open tickets only: an index of those it has not read."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

UNTRIAGED = sa.text("triaged_at IS NULL AND status IN ('open', 'in_progress', 'pending')")


def upgrade() -> None:
    op.drop_index("ix_tickets_triaged_at", "tickets")
    op.create_index(
        "ix_tickets_untriaged",
        "tickets",
        ["triaged_at", "id"],
        sqlite_where=UNTRIAGED,
        postgresql_where=UNTRIAGED,
    )
