"""Pushes go by themselves when what blocked them is gone; causes are kinds and no wordings."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    for name in ("released_at", "renewed_at"):
        op.add_column("outbox", sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column("connections", sa.Column("recovered_at", sa.DateTime(timezone=True)))
    for kind, words in (
        ("close_code", "The resolution code “%” is not one of the instance''s.%"),
        ("other_instance", "This belongs to %, and the app is now connected to %"),
    ):
        op.execute(
            f"UPDATE outbox SET error_kind = '{kind}'"
            f" WHERE state = 'blocked' AND error_kind = 'invalid' AND error LIKE '{words}'"
        )
