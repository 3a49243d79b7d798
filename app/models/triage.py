"""Predictions, the decisions about them, corrections and trained models."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.models.tickets import Priority

# Accuracy is shown from this number of cases on.
ENOUGH = 30


class Field(StrEnum):
    """A predicted field of a ticket."""

    CATEGORY = "category"
    PRIORITY = "priority"

    @property
    def label(self) -> str:
        return self.value.capitalize()


class Mode(StrEnum):
    """How the predictions of a field are used."""

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
    """A person's decision about a prediction; untouched means unchanged when resolved."""

    ACCEPTED = "accepted"
    UNTOUCHED = "untouched"
    REPLACED = "replaced"
    NOT_SURE = "not_sure"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A similar ticket with a confirmed value. `match` is 0 to 1."""

    ticket_id: int
    subject: str
    label: str
    match: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one field. `value` is the best guess, also if it is not `sure`.

    `confidence` is 0 to 1. `taught_by` and `taught_at` name the correction that was applied.
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
    """A prediction of a ticket and the decision about it."""

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
        """Whether it was shown: sure, and in a mode that shows predictions."""
        return self.said.sure and self.mode.shows

    def verdict_on(self, value: str | None) -> Verdict | None:
        """The verdict if a person sets `value`; None if the decision was withdrawn."""
        if not self.said.sure:
            return Verdict.NOT_SURE
        if not value:
            return None
        return Verdict.ACCEPTED if value == self.said.value else Verdict.REPLACED


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How many predictions of about the same confidence were correct."""

    right: int
    total: int

    @property
    def enough(self) -> bool:
        return self.total >= ENOUGH


@dataclass(frozen=True, slots=True)
class PredictionView:
    """A prediction for the ticket page, with its accuracy and the number of earlier ones."""

    stored: StoredPrediction
    record: TrackRecord
    earlier: int

    @property
    def said(self) -> Prediction:
        return self.stored.said


@dataclass(frozen=True, slots=True)
class Lesson:
    """A correction: a person's choice where the prediction was wrong or not sure."""

    ticket_id: int
    field: Field
    value: str
    impact: int | None
    urgency: int | None
    taught_by: str
    taught_at: datetime


class ModelState(StrEnum):
    """The state of a training or its result."""

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
    """A model trained on this installation's tickets.

    `own` is the number of its own labels, `figures` holds the metrics. `asked_by` is an e-mail
    address, None if the app started the training.
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
    """One change of a Copilot setting."""

    name: str
    value: Any
    changed_by: str
    changed_at: datetime

    @property
    def words(self) -> str:
        """The change as a phrase for the change log."""
        kind, _, field = self.name.partition(".")
        if kind == "mode":
            return f"{field.capitalize()} mode set to {self.value}"
        if kind == "model":
            return (
                f"Model set to training {self.value}"
                if self.value
                else "Model set to the starter model"
            )
        return "Priority matrix changed"
