"""The maps of states, priorities and categories, where an admin changes them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "mappings",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("maps", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=254), nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_mappings"),
    )
