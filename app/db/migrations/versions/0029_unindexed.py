"""What waits to be indexed anew: texts with letters outside ASCII are cut differently now."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

TICKET = "subject || ' ' || description || ' ' || coalesce(resolution_notes, '')"
ARTICLE = "title || ' ' || keywords || ' ' || body"
INCIDENT = "short_description || ' ' || description || ' ' || close_notes"


def upgrade() -> None:
    op.create_table(
        "unindexed",
        sa.Column("noun", sa.String(length=10), nullable=False),
        sa.Column("ref", sa.String(length=32), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("noun", "ref", name="pk_unindexed"),
    )
    op.create_index("ix_unindexed_noun_fresh_ref", "unindexed", ["noun", "fresh", "ref"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    number = "lpad(CAST(id AS text), 10, '0')" if postgresql else "printf('%010d', id)"

    def beyond_ascii(text: str) -> str:
        if postgresql:
            return f"({text}) ~ '[^\\x01-\\x7f]'"
        return f"({text}) GLOB '*[^' || char(1) || '-' || char(127) || ']*'"

    for noun, ref, owned, condition, text in (
        ("ticket", number, "ticket_id = tickets.id", "true", TICKET),
        ("article", number, "article_id = articles.id", "deleted_at IS NULL", ARTICLE),
        ("incident", "sys_id", "sys_id = incidents.sys_id", "trim(close_notes) <> ''", INCIDENT),
    ):
        missing = f"NOT EXISTS (SELECT 1 FROM {noun}_terms WHERE {noun}_terms.{owned})"
        op.execute(
            f"INSERT INTO unindexed (noun, ref, fresh) SELECT '{noun}', {ref}, {missing}"
            f" FROM {noun}s WHERE {condition} AND ({missing} OR {beyond_ascii(text)})"
        )
