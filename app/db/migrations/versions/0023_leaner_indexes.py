"""Indexes that every row of an import paid for and no query needs as they were."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    # The unique index on (ticket_id, sn_journal_id) finds a ticket's events as well.
    op.drop_index("ix_ticket_events_ticket_id", "ticket_events")
    op.drop_index("ix_tickets_sn_conflict_since", "tickets")
    op.create_index(
        "ix_tickets_sn_conflict_since",
        "tickets",
        ["sn_conflict_since"],
        sqlite_where=sa.text("sn_conflict_since IS NOT NULL"),
        postgresql_where=sa.text("sn_conflict_since IS NOT NULL"),
    )
