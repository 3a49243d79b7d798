"""Changes that come in by themselves: how far, and which notes and incidents were seen."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    zero = sa.text("0")
    op.create_table(
        "incoming",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("watermark", sa.DateTime(timezone=True)),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("pulled_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text()),
        sa.Column("rows", sa.Integer(), nullable=False, server_default=zero),
        sa.Column("hidden", sa.Integer(), nullable=False, server_default=zero),
        sa.Column("gone", sa.Integer(), nullable=False, server_default=zero),
        sa.Column("journal", sa.String(length=10), nullable=False, server_default=""),
        sa.Column("swept_at", sa.DateTime(timezone=True)),
        sa.Column("sweep_after", sa.String(length=32), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("host", name="pk_incoming"),
    )
    with op.batch_alter_table("ticket_events") as events:
        events.add_column(sa.Column("sn_journal_id", sa.String(length=32)))
        events.create_index(
            "uq_ticket_events_ticket_id_sn_journal_id", ["ticket_id", "sn_journal_id"], unique=True
        )
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("sn_missing_since", sa.DateTime(timezone=True)))
