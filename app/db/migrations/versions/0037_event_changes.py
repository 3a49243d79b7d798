"""Entries of the timeline hold each field that they changed, before and after."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.add_column("ticket_events", sa.Column("changes", sa.JSON))
    events = sa.table(
        "ticket_events",
        sa.column("id", sa.Integer),
        sa.column("kind", sa.String),
        sa.column("fields", sa.JSON(none_as_null=True)),
        sa.column("changes", sa.JSON(none_as_null=True)),
    )
    # The names are known. What the fields held before and after was kept in words only.
    op.execute(
        events.update().where(events.c.kind == "status").values(changes=[_unknown("status")])
    )
    conn = op.get_bind()
    named = conn.execute(
        sa.select(events.c.id, events.c.fields).where(events.c.fields.is_not(None))
    ).all()
    for event_id, fields in named:
        changes = [_unknown(field) for field in fields]
        conn.execute(events.update().where(events.c.id == event_id).values(changes=changes))
    op.drop_column("ticket_events", "fields")
    # Left over from failures that were overcome.
    op.execute(
        "UPDATE outbox SET error_kind = NULL WHERE error IS NULL OR state IN ('done', 'discarded')"
    )


def _unknown(field: str) -> dict[str, str | None]:
    return {"field": field, "before": None, "after": None}
