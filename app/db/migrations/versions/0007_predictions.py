"""Predictions with their reasons and what became of them; impact and urgency of a ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("tickets") as tickets:
        for name in ("impact", "urgency", "predicted_impact", "predicted_urgency"):
            tickets.add_column(sa.Column(name, sa.Integer()))
        tickets.add_column(sa.Column("triaged_at", sa.DateTime(timezone=True)))
        tickets.create_index("ix_tickets_triaged_at", ["triaged_at"])
    op.execute("UPDATE tickets SET triaged_at = created_at WHERE triage_model IS NOT NULL")
    op.create_table(
        "predictions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=40)),
        sa.Column("sure", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("model", sa.String(length=60), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("runner_up", sa.String(length=40)),
        sa.Column("words_for", sa.JSON(), nullable=False),
        sa.Column("words_against", sa.JSON(), nullable=False),
        sa.Column("neighbours", sa.JSON(), nullable=False),
        sa.Column("impact", sa.Integer()),
        sa.Column("urgency", sa.Integer()),
        sa.Column("taught_by", sa.String(length=254)),
        sa.Column("taught_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True)),
        sa.Column("verdict", sa.String(length=10)),
        sa.Column("settled_by", sa.String(length=254)),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("settled_from", sa.String(length=40)),
        sa.Column("settled_to", sa.String(length=40)),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name="fk_predictions_ticket_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index("ix_predictions_ticket_id_field", "predictions", ["ticket_id", "field"])
    op.create_index("ix_predictions_field_confidence", "predictions", ["field", "confidence"])
    op.create_index("ix_predictions_created_at", "predictions", ["created_at"])
    op.create_table(
        "copilot_settings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(length=254), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_copilot_settings"),
    )
    op.create_index("ix_copilot_settings_name", "copilot_settings", ["name"])
