"""Accounts have a time zone of their own; without one the browser's is used."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.add_column("users", sa.Column("time_zone", sa.String(length=64)))
