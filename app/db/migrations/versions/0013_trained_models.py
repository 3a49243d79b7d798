"""The desk's own models, with their figures and signatures."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "trained_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("slot", sa.Integer()),
        sa.Column("asked_by", sa.String(length=254)),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text()),
        sa.Column("own", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.String(length=60)),
        sa.Column("data_hash", sa.String(length=64)),
        sa.Column("figures", sa.JSON()),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("signature", sa.String(length=100)),
        sa.PrimaryKeyConstraint("id", name="pk_trained_models"),
        sa.UniqueConstraint("slot", name="uq_trained_models_slot"),
    )
