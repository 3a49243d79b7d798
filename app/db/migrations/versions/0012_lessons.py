"""Lessons: corrections by people, found again by their text."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "lessons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.Column("impact", sa.Integer()),
        sa.Column("urgency", sa.Integer()),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("taught_by", sa.String(length=254), nullable=False),
        sa.Column("taught_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name="fk_lessons_ticket_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_lessons"),
    )
    op.create_index("ix_lessons_ticket_id", "lessons", ["ticket_id"])
    op.create_index("ix_lessons_fingerprint", "lessons", ["fingerprint"])
    op.create_table(
        "lesson_marks",
        sa.Column("lesson_id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["lesson_id"], ["lessons.id"], name="fk_lesson_marks_lesson_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("lesson_id", "mark", name="pk_lesson_marks"),
    )
    op.create_index("ix_lesson_marks_mark", "lesson_marks", ["mark"])
