"""Edits there that met a write of ours: a warning on the ticket, and what is usual there."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("sn_notice", sa.Text))
    op.add_column("connections", sa.Column("write_steps", sa.JSON))
