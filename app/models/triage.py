"""What the Copilot says of a ticket, what it rests on, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.models.tickets import Priority

# A share of fewer cases than this says nothing, and is not shown.
ENOUGH = 30


class Field(StrEnum):
    """What is predicted."""

    CATEGORY = "category"
    PRIORITY = "priority"

    @property
    def label(self) -> str:
        return self.value.capitalize()


class Mode(StrEnum):
    """What is done with the predictions of a field."""

    AUTOFILL = "autofill"
    SUGGEST = "suggest"
    SHADOW = "shadow"
    OFF = "off"

    @property
    def label(self) -> str:
        return self.value.capitalize()

    @property
    def shows(self) -> bool:
        return self in (Mode.AUTOFILL, Mode.SUGGEST)


class Verdict(StrEnum):
    """What a person made of a prediction; untouched means resolved without a change to it."""

    ACCEPTED = "accepted"
    UNTOUCHED = "untouched"
    REPLACED = "replaced"
    NOT_SURE = "not_sure"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled ticket that resembles this one. `match` is 0 to 1."""

    ticket_id: int
    subject: str
    label: str
    match: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One field of one ticket. `value` is the best guess, also when it is not `sure` enough.

    `confidence` is 0 to 1. `taught_by` and `taught_at` tell of the correction that it repeats.
    """

    field: Field
    value: str | None
    sure: bool
    confidence: float
    model: str
    runner_up: str | None = None
    words_for: tuple[str, ...] = ()
    words_against: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    impact: int | None = None
    urgency: int | None = None
    taught_by: str | None = None
    taught_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as it was made for a ticket, and what became of it."""

    id: int
    ticket_id: int
    said: Prediction
    mode: Mode
    created_at: datetime
    superseded_at: datetime | None
    verdict: Verdict | None
    settled_by: str | None
    settled_at: datetime | None
    settled_from: str | None
    settled_to: str | None

    @property
    def shown(self) -> bool:
        """Whether people saw it: sure enough, and in a mode that shows."""
        return self.said.sure and self.mode.shows

    def verdict_on(self, value: str | None) -> Verdict | None:
        """What deciding on `value` makes of it; None when the decision was taken back."""
        if not self.said.sure:
            return Verdict.NOT_SURE
        if not value:
            return None
        return Verdict.ACCEPTED if value == self.said.value else Verdict.REPLACED


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How often predictions of about this confidence were right on this desk."""

    right: int
    total: int

    @property
    def enough(self) -> bool:
        return self.total >= ENOUGH


@dataclass(frozen=True, slots=True)
class PredictionView:
    """A prediction for the ticket's page: with the desk's record, and earlier ones beside it."""

    stored: StoredPrediction
    record: TrackRecord
    earlier: int

    @property
    def said(self) -> Prediction:
        return self.stored.said


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a person chose on a ticket where the Copilot was wrong or not sure."""

    ticket_id: int
    field: Field
    value: str
    impact: int | None
    urgency: int | None
    taught_by: str
    taught_at: datetime


class ModelState(StrEnum):
    """How far a training is, or what became of its model."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"

    @property
    def busy(self) -> bool:
        return self in (ModelState.QUEUED, ModelState.RUNNING)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model of this desk's own. `own` labels were there; `figures` are as the training left them.

    `asked_by` is an address, None when the app saw enough new labels.
    """

    id: int
    state: ModelState
    asked_by: str | None
    asked_at: datetime
    finished_at: datetime | None
    error: str | None
    own: int
    version: str | None
    data_hash: str | None
    figures: Mapping[str, Any]


Matrix = Mapping[tuple[int, int], Priority]


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One switch of a Copilot setting: what, to what, by whom."""

    name: str
    value: Any
    changed_by: str
    changed_at: datetime

    @property
    def words(self) -> str:
        """The switch as a sentence."""
        kind, _, field = self.name.partition(".")
        if kind == "mode":
            return f"{field.capitalize()}: {self.value}"
        if kind == "model":
            return f"Model {self.value} in use" if self.value else "The starter model in use"
        return "The matrix of impact and urgency"
