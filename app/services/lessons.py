"""Corrections that teach at once: the same text gets the same answer from the next ticket on."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from app.copilot import likeness
from app.copilot.redact import masked
from app.db import lessons
from app.models import Field, Lesson, Prediction, Ticket

# Of a sketch this share must agree before two texts are compared in full.
SKETCH_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Recalled:
    """A lesson and how alike its text is, 0 to 1."""

    lesson: Lesson
    likeness: float

    def instead_of(self, said: Prediction) -> Prediction:
        """What is said now; the engine's own value stays as the runner-up, its words do not."""
        lesson = self.lesson
        return replace(
            said,
            value=lesson.value,
            sure=True,
            confidence=self.likeness,
            runner_up=said.value if said.value != lesson.value else said.runner_up,
            words_for=(),
            words_against=(),
            impact=lesson.impact,
            urgency=lesson.urgency,
            taught_by=lesson.taught_by,
            taught_at=lesson.taught_at,
        )


def recall(conn: Connection, field: Field, text: str) -> Recalled | None:
    """The newest correction of the same words, else of nearly the same; `text` is masked."""
    if not likeness.tidied(text):
        return None
    same = lessons.find(conn, field, likeness.fingerprint(text))
    if same:
        return Recalled(same, 1.0)
    sketch = likeness.sketch(text)
    near = lessons.like(conn, field, sketch, shared=max(1, round(SKETCH_SHARE * len(sketch))))
    for lesson, other in near:
        alike = likeness.likeness(text, masked(other))
        if alike >= likeness.NEARLY_SAME:
            return Recalled(lesson, alike)
    return None


def teach(conn: Connection, ticket: Ticket, field: Field, *, by: str, now: datetime) -> None:
    """Remember what a person chose for this text."""
    value = getattr(ticket, field)
    text = masked(f"{ticket.subject}\n{ticket.description}")
    if not value or not likeness.tidied(text):
        return
    severity = ticket.severity if field is Field.PRIORITY else None
    impact, urgency = severity or (None, None)
    lessons.add(
        conn,
        Lesson(
            ticket_id=ticket.id,
            field=field,
            value=value,
            impact=impact,
            urgency=urgency,
            taught_by=by,
            taught_at=now,
        ),
        fingerprint=likeness.fingerprint(text),
        sketch=likeness.sketch(text),
    )
