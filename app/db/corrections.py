"""Lessons: what people chose where the Copilot was wrong or not sure, findable by text."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from app.db.tables import lesson_marks, lessons, tickets
from app.models.triage import Field, Lesson


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


def any_taught(conn: Connection) -> bool:
    """Whether people have corrected anything yet."""
    return conn.execute(select(lessons.c.id).limit(1)).first() is not None


def of_same_words(conn: Connection, fingerprints: Iterable[str]) -> tuple[tuple[str, Lesson], ...]:
    """Lessons with their fingerprints; the newest first."""
    query = select(lessons).where(lessons.c.fingerprint.in_(list(fingerprints)))
    rows = conn.execute(query.order_by(lessons.c.id.desc())).mappings()
    return tuple((row["fingerprint"], _lesson(row)) for row in rows)


def marks(conn: Connection, wanted: Iterable[int]) -> tuple[tuple[int, Field, int], ...]:
    """(mark, field, lesson id) of each of these marks that a lesson has."""
    its = lesson_marks.c
    query = (
        select(its.mark, lessons.c.field, its.lesson_id)
        .join(lessons, lessons.c.id == its.lesson_id)
        .where(its.mark.in_(list(wanted)))
    )
    return tuple((row[0], Field(row[1]), row[2]) for row in conn.execute(query))


def with_texts(conn: Connection, ids: Iterable[int]) -> dict[int, tuple[Lesson, str]]:
    """These lessons by id, each with the text of its ticket."""
    query = (
        select(lessons, tickets.c.subject, tickets.c.description)
        .join(tickets, tickets.c.id == lessons.c.ticket_id)
        .where(lessons.c.id.in_(list(ids)))
    )
    rows = conn.execute(query).mappings()
    return {row["id"]: (_lesson(row), f"{row['subject']}\n{row['description']}") for row in rows}


def count_since(conn: Connection, moment: datetime | None) -> int:
    """How many were taught after a moment, ever without one."""
    query = select(func.count()).select_from(lessons)
    if moment is not None:
        query = query.where(lessons.c.taught_at > moment)
    return conn.execute(query).scalar_one()
