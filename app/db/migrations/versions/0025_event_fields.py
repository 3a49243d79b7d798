"""Entries of the timeline name the fields that they changed."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("ticket_events", sa.Column("fields", sa.JSON))
