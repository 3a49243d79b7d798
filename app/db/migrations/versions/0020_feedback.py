"""Suggestions rest on tickets and incidents too; what people say of them, and what they spare."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column(
        "suggestions",
        sa.Column("kind", sa.String(10), nullable=False, server_default=sa.text("'article'")),
    )
    op.create_table(
        "suggestion_votes",
        *_of_a_source("suggestion_votes"),
        sa.Column("author", sa.String(length=254), nullable=False),
        sa.Column("helpful", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "ticket_id", "kind", "source", "author", name="pk_suggestion_votes"
        ),
    )
    op.create_table(
        "suggestion_uses",
        *_of_a_source("suggestion_uses"),
        sa.Column("way", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", "kind", "source", "way", name="pk_suggestion_uses"),
    )
    op.create_table(
        "deflections",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_deflections"),
    )
    op.create_index("ix_deflections_created_at", "deflections", ["created_at"])


def _of_a_source(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=f"fk_{table}_ticket_id", ondelete="CASCADE"
        ),
    ]
