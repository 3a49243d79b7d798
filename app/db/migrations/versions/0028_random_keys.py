"""Random keys of creates and random marks of notes, and what is known of an instance's keys.

Keys made from ids come again after a database was restored from a backup.
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

SQLITE_KEY = "lower(hex(randomblob(16)))"
# A random UUID has six bits that are fixed: the digits around them are left out.
UUID = "replace(gen_random_uuid()::text, '-', '')"
POSTGRESQL_KEY = f"right({UUID}, 15) || right({UUID}, 15) || left({UUID}, 2)"
BATCH = 1_000


def upgrade() -> None:
    stamp = sa.DateTime(timezone=True)
    op.add_column("tickets", sa.Column("sn_key", sa.String(32)))
    op.add_column("ticket_events", sa.Column("sn_mark", sa.String(40)))
    op.add_column("outbox", sa.Column("sent_at", stamp))
    for name, kind in (
        ("keeps_correlation_id", sa.Boolean()),
        ("keeps_sys_id", sa.Boolean()),
        ("restored_at", stamp),
        ("restored_number", sa.String(40)),
        ("creates_released_at", stamp),
        ("creates_released_by", sa.String(254)),
    ):
        op.add_column("connections", sa.Column(name, kind))
    op.create_table(
        "spent_keys",
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("spent_at", stamp, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_spent_keys"),
    )
    random_key = POSTGRESQL_KEY if op.get_bind().dialect.name == "postgresql" else SQLITE_KEY
    op.execute(f"UPDATE tickets SET sn_key = {random_key} WHERE sn_sys_id IS NULL")
    op.execute(
        "UPDATE outbox SET sent_at = coalesce(claimed_at, created_at)"
        " WHERE kind = 'create' AND attempts > 0"
    )
    _keep_marks_that_were_sent()
    op.execute(
        f"UPDATE ticket_events SET sn_mark = {random_key} WHERE sn_mark IS NULL"
        " AND sn_journal_id IS NULL AND kind IN ('comment', 'internal_note')"
    )


def _keep_marks_that_were_sent() -> None:
    """Notes that are in the outbox carry the mark of their day, made from the event's id."""
    conn = op.get_bind()
    installation = conn.execute(sa.text("SELECT id FROM installation")).scalar_one()
    found = conn.execute(sa.text("SELECT event_id FROM outbox WHERE event_id IS NOT NULL"))
    event_ids = list(found.scalars())
    write = sa.text("UPDATE ticket_events SET sn_mark = :mark WHERE id = :id")
    for start in range(0, len(event_ids), BATCH):
        rows = [
            {"id": one, "mark": _old_mark(installation, one)}
            for one in event_ids[start : start + BATCH]
        ]
        conn.execute(write, rows)


def _old_mark(installation: str, event_id: int) -> str:
    digest = hashlib.sha256(f"{installation}-{event_id}".encode()).hexdigest()
    return f"{event_id}-{digest[:8]}"
