"""Jobs of the worker report to their own process: the table of their signs of life is not used."""

from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.drop_table("heartbeats")
