"""Indexes for lists by category and priority, a person's own or predicted, and for keys."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

WEIGHT = (
    "(CASE coalesce(priority, predicted_priority)"
    " WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'high' THEN 3 WHEN 'urgent' THEN 4"
    " ELSE 0 END)"
)


def upgrade() -> None:
    op.create_index("ix_tickets_weight", "tickets", [sa.text(WEIGHT), "updated_at"])
    category = sa.text("coalesce(category, predicted_category)")
    op.create_index("ix_tickets_effective_category", "tickets", [category, "updated_at"])
    op.create_index("ix_outbox_correlation_id", "outbox", ["correlation_id"])
