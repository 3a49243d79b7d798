"""Lessons: what people chose where the Copilot was wrong or not sure, findable by text."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from app.db.tables import lesson_marks, lessons, tickets
from app.models import Field, Lesson

CANDIDATES = 10


def _lesson(row: RowMapping) -> Lesson:
    return Lesson(
        ticket_id=row["ticket_id"],
        field=Field(row["field"]),
        value=row["value"],
        impact=row["impact"],
        urgency=row["urgency"],
        taught_by=row["taught_by"],
        taught_at=row["taught_at"],
    )


def add(conn: Connection, lesson: Lesson, *, fingerprint: str, sketch: Sequence[int]) -> None:
    """Remember a correction."""
    row = conn.execute(
        lessons.insert()
        .values(
            ticket_id=lesson.ticket_id,
            field=lesson.field,
            value=lesson.value,
            impact=lesson.impact,
            urgency=lesson.urgency,
            fingerprint=fingerprint,
            taught_by=lesson.taught_by,
            taught_at=lesson.taught_at,
        )
        .returning(lessons.c.id)
    )
    lesson_id = row.scalar_one()
    if sketch:
        marks = [{"lesson_id": lesson_id, "mark": mark} for mark in sketch]
        conn.execute(lesson_marks.insert(), marks)


def forget(conn: Connection, ticket_id: int, field: Field) -> None:
    """What a ticket taught about a field holds no longer."""
    conn.execute(lessons.delete().where(lessons.c.ticket_id == ticket_id, lessons.c.field == field))


def find(conn: Connection, field: Field, fingerprint: str) -> Lesson | None:
    """The newest lesson of a text of the same words."""
    query = (
        select(lessons)
        .where(lessons.c.fingerprint == fingerprint, lessons.c.field == field)
        .order_by(lessons.c.id.desc())
    )
    row = conn.execute(query.limit(1)).mappings().first()
    return _lesson(row) if row else None


def like(
    conn: Connection, field: Field, sketch: Sequence[int], *, shared: int
) -> tuple[tuple[Lesson, str], ...]:
    """Lessons that share so many marks, each with the text of its ticket; the newest first."""
    near = (
        select(lesson_marks.c.lesson_id)
        .where(lesson_marks.c.mark.in_(sketch))
        .group_by(lesson_marks.c.lesson_id)
        .having(func.count() >= shared)
    )
    query = (
        select(lessons, tickets.c.subject, tickets.c.description)
        .join(tickets, tickets.c.id == lessons.c.ticket_id)
        .where(lessons.c.id.in_(near), lessons.c.field == field)
        .order_by(lessons.c.id.desc())
    )
    rows = conn.execute(query.limit(CANDIDATES)).mappings()
    return tuple((_lesson(row), f"{row['subject']}\n{row['description']}") for row in rows)


def count_since(conn: Connection, moment: datetime | None) -> int:
    """How many were taught after a moment, ever without one."""
    query = select(func.count()).select_from(lessons)
    if moment is not None:
        query = query.where(lessons.c.taught_at > moment)
    return conn.execute(query).scalar_one()
