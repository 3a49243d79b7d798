"""An undo goes on in the worker, and says who asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    with op.batch_alter_table("sync_runs") as runs:
        runs.add_column(sa.Column("undo_due_at", sa.DateTime(timezone=True)))
        runs.add_column(sa.Column("undone_by", sa.String(length=254)))
