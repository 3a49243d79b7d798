"""Corrections that teach at once: the same text gets the same answer from the next ticket on."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nlargest

from sqlalchemy import Connection

from app.copilot import same_text
from app.copilot.secrets.redact import masked
from app.db import corrections
from app.models.tickets import Ticket
from app.models.triage import Field, Lesson, Prediction

# Of a sketch this share must agree before two texts are compared in full.
SKETCH_SHARE = 0.5
# Compared in full, of each field.
CANDIDATES = 10


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


def recall(conn: Connection, texts: Sequence[str]) -> list[dict[Field, Recalled]]:
    """Of each text, by field: the newest correction of the same words, else of nearly the same.

    The texts are masked.
    """
    if not corrections.any_taught(conn):
        return [{} for _ in texts]
    prints = [same_text.fingerprint(text) if same_text.tidied(text) else "" for text in texts]
    same: dict[str, dict[Field, Recalled]] = {}
    for fingerprint, lesson in corrections.of_same_words(conn, set(prints) - {""}):
        same.setdefault(fingerprint, {}).setdefault(lesson.field, Recalled(lesson, 1.0))
    near = _nearly_the_same(conn, texts)
    return [near[i] | same.get(fingerprint, {}) for i, fingerprint in enumerate(prints)]


def _nearly_the_same(conn: Connection, texts: Sequence[str]) -> list[dict[Field, Recalled]]:
    sketches = [same_text.sketch(text) for text in texts]
    holders: dict[int, list[tuple[Field, int]]] = defaultdict(list)
    for mark, field, lesson_id in corrections.marks(conn, {m for marks in sketches for m in marks}):
        holders[mark].append((field, lesson_id))
    close = [_candidates(sketch, holders) for sketch in sketches]
    found = corrections.with_texts(conn, {lesson_id for ids in close for lesson_id in ids})
    return [
        _first_alike(text, [found[lesson_id] for lesson_id in ids])
        for text, ids in zip(texts, close, strict=True)
    ]


def _candidates(
    sketch: Sequence[int], holders: Mapping[int, Sequence[tuple[Field, int]]]
) -> list[int]:
    """Lessons that share enough of the marks: the newest of each field, the newest first."""
    shared = Counter(held for mark in sketch for held in holders.get(mark, ()))
    least = max(1, round(SKETCH_SHARE * len(sketch)))
    enough = [held for held, count in shared.items() if count >= least]
    newest = [
        nlargest(CANDIDATES, (lesson_id for of, lesson_id in enough if of is field))
        for field in Field
    ]
    return [lesson_id for ids in newest for lesson_id in ids]


def _first_alike(text: str, candidates: Sequence[tuple[Lesson, str]]) -> dict[Field, Recalled]:
    found: dict[Field, Recalled] = {}
    for lesson, other in candidates:
        if lesson.field not in found:
            alike = same_text.likeness(text, masked(other))
            if alike >= same_text.NEARLY_SAME:
                found[lesson.field] = Recalled(lesson, alike)
    return found


def teach(conn: Connection, ticket: Ticket, field: Field, *, by: str, now: datetime) -> None:
    """Remember what a person chose for this text."""
    value = getattr(ticket, field)
    text = masked(f"{ticket.subject}\n{ticket.description}")
    if not value or not same_text.tidied(text):
        return
    severity = ticket.severity if field is Field.PRIORITY else None
    impact, urgency = severity or (None, None)
    corrections.add(
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
        fingerprint=same_text.fingerprint(text),
        sketch=same_text.sketch(text),
    )
