"""Whether a prediction was proved right or wrong, so that the desk's record is counted fast."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    with op.batch_alter_table("predictions") as predictions:
        predictions.add_column(sa.Column("proof", sa.Boolean()))
    op.execute(
        "UPDATE predictions SET proof = (value = settled_to) WHERE value IS NOT NULL"
        " AND settled_to IS NOT NULL AND taught_by IS NULL AND verdict <> 'untouched'"
    )
    op.drop_index("ix_predictions_field_confidence", "predictions")
    op.drop_index("ix_predictions_created_at", "predictions")
    op.create_index("ix_predictions_record", "predictions", ["field", "proof", "confidence"])
    op.create_index("ix_predictions_created_at", "predictions", ["created_at", "ticket_id"])
    op.create_index("ix_predictions_verdict", "predictions", ["verdict", "created_at", "ticket_id"])
