"""Corrections: new tickets with the same text get the corrected value."""

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

# The share of equal sketch marks from which two texts are compared in full.
SKETCH_SHARE = 0.5
# The most texts compared in full, per field.
CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Recalled:
    """A correction and the similarity of its text, 0 to 1."""

    lesson: Lesson
    similarity: float

    def instead_of(self, said: Prediction) -> Prediction:
        """The prediction with the corrected value; the model's value becomes the runner-up."""
        lesson = self.lesson
        return replace(
            said,
            value=lesson.value,
            sure=True,
            confidence=self.similarity,
            runner_up=said.value if said.value != lesson.value else said.runner_up,
            words_for=(),
            words_against=(),
            impact=lesson.impact,
            urgency=lesson.urgency,
            taught_by=lesson.taught_by,
            taught_at=lesson.taught_at,
        )


def recall(conn: Connection, texts: Sequence[str]) -> list[dict[Field, Recalled]]:
    """For each text, by field: the newest correction of the same or nearly the same text."""
    if not corrections.any_taught(conn):
        return [{} for _ in texts]
    texts = [masked(text) for text in texts]
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
    """The newest corrections of each field that share enough marks, newest first."""
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
            alike = same_text.similarity(text, masked(other))
            if alike >= same_text.NEARLY_SAME:
                found[lesson.field] = Recalled(lesson, alike)
    return found


def teach(conn: Connection, ticket: Ticket, field: Field, *, by: str, now: datetime) -> None:
    """Store a person's choice for this text."""
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
