"""The Copilot's predictions as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_serializer

from app.models.conflicts import Conflict
from app.models.triage import PredictionView
from app.models.views import TicketDetail
from app.schemas.conflicts import ConflictOut
from app.schemas.tickets import TicketOut

SETTLED = ("verdict", "settled_by", "settled_at", "settled_from", "settled_to")
OF_THE_STORED = ("mode", "created_at", *SETTLED)


class NeighbourOut(BaseModel):
    """A similar ticket with a confirmed category. `match` is 0 to 1."""

    model_config = ConfigDict(from_attributes=True)

    ticket_id: int
    subject: str
    label: str
    match: float


class RecordOut(BaseModel):
    """Number of correct predictions with about this confidence."""

    model_config = ConfigDict(from_attributes=True)

    right: int
    total: int


class PredictionOut(BaseModel):
    """Prediction for one field. `value` is the best guess. It is set only if `sure` is true.

    `verdict` is null while nobody has decided; `settled_*` tell who decided what.
    """

    field: Literal["category", "priority"]
    value: str | None
    sure: bool
    confidence: float
    record: RecordOut
    model: str
    mode: Literal["autofill", "suggest"]
    runner_up: str | None
    words_for: list[str]
    words_against: list[str]
    neighbours: list[NeighbourOut]
    impact: int | None
    urgency: int | None
    taught_by: str | None
    taught_at: datetime | None
    created_at: datetime
    verdict: Literal["accepted", "untouched", "replaced", "not_sure"] | None
    settled_by: str | None
    settled_at: datetime | None
    settled_from: str | None
    settled_to: str | None

    @field_serializer("created_at", "taught_at", "settled_at")
    def _utc(self, moment: datetime | None) -> datetime | None:
        return moment.astimezone(UTC) if moment else None

    @classmethod
    def of(cls, view: PredictionView) -> "PredictionOut":
        said, stored = view.said, view.stored
        values = {name: getattr(said, name, None) for name in cls.model_fields}
        values |= {name: getattr(stored, name) for name in OF_THE_STORED}
        return cls.model_validate(
            values
            | {
                "record": RecordOut.model_validate(view.record),
                "neighbours": [NeighbourOut.model_validate(one) for one in said.neighbours],
            }
        )


class TicketDetailOut(TicketOut):
    """A ticket with its predictions and conflicts.

    `reasons_pending`: the predictions were made in a batch and stand; their words and neighbours
    are still being prepared. Ask again in a moment.
    """

    predictions: list[PredictionOut]
    reasons_pending: bool
    conflicts: list[ConflictOut]

    @classmethod
    def from_detail(cls, detail: TicketDetail, conflicts: Sequence[Conflict]) -> "TicketDetailOut":
        return cls(
            **TicketOut.of(detail.ticket).model_dump(),
            predictions=[PredictionOut.of(view) for view in detail.predictions],
            reasons_pending=detail.ticket.reasons_pending and bool(detail.predictions),
            conflicts=[ConflictOut.of(one) for one in conflicts],
        )
