"""Sessions know their browser and their last activity; API tokens have a scope and an end."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
STAMP = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("last_active_at", STAMP))
        sessions.add_column(
            sa.Column("browser", sa.String(length=60), nullable=False, server_default="")
        )
        sessions.add_column(
            sa.Column("address", sa.String(length=60), nullable=False, server_default="")
        )
    # People who are logged in stay logged in.
    rows = sa.table("sessions", sa.column("last_active_at", STAMP))
    op.execute(rows.update().values(last_active_at=datetime.now(UTC)))
    with op.batch_alter_table("sessions") as sessions:
        sessions.alter_column("last_active_at", existing_type=STAMP, nullable=False)
    with op.batch_alter_table("api_tokens") as tokens:
        # Existing tokens may do what their owner's role may.
        tokens.add_column(
            sa.Column("scope", sa.String(length=10), nullable=False, server_default="admin")
        )
        tokens.add_column(sa.Column("expires_at", STAMP))
