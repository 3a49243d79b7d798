"""The result of triage for one text: predictions, the columns to set, the timeline message."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isclose

from app.db import predictions
from app.db.ticket_columns import Predicted
from app.models.tickets import Suggestion
from app.models.triage import Field, Mode, Neighbour, Prediction
from app.services.copilot.corrections import Recalled
from app.services.copilot.service import Triage
from app.services.copilot.settings import Rules


@dataclass(frozen=True, slots=True)
class Reading:
    """The predictions and suggestions for one text, with the settings at that time."""

    said: tuple[Prediction, ...]
    suggestions: tuple[Suggestion, ...]
    rules: Rules
    ready: bool

    def without(self, fields: set[Field]) -> "Reading":
        """The same without the predictions for some fields."""
        return replace(self, said=tuple(one for one in self.said if one.field not in fields))

    def filled(self, now: datetime) -> Predicted:
        """The ticket columns to set: values only if sure and in the mode autofill."""
        values: Predicted = {"triaged_at": now if self.ready else None}
        for one in self.said:
            mode = self.rules.modes[one.field]
            if not mode.shows:
                continue
            values["triage_model"] = one.model
            if mode is Mode.AUTOFILL:
                values |= predictions.columns_of(one)
        return values

    def refilled(self, now: datetime) -> Predicted:
        """As `filled`, with what an earlier triage may have set cleared."""
        values = Predicted()
        for one in self.said:
            values |= predictions.no_columns_of(one.field)
        return values | self.filled(now)

    def told(self) -> str:
        """The message for the timeline, a sentence per field; empty if no prediction is shown."""
        return " ".join(
            f"{one.field.label}: {one.value if one.sure else 'not sure'} ({_how_sure(one)})."
            for one in self.said
            if self.rules.modes[one.field].shows
        )


def predictions_of(
    found: Triage, taught: Mapping[Field, Recalled], rules: Rules
) -> tuple[Prediction, ...]:
    """The predictions: an earlier correction of the same text replaces the model's value."""
    return tuple(
        _by_matrix(taught[one.field].instead_of(one), rules) if one.field in taught else one
        for one in found.said
        if rules.modes[one.field] is not Mode.OFF
    )


def with_reasons(
    stored: Prediction, again: Prediction, labelled: tuple[Neighbour, ...]
) -> Prediction:
    """Add reasons to a stored prediction, but only those of the same model and confidence."""
    same = (
        not stored.taught_by
        and stored.model == again.model
        and isclose(stored.confidence, again.confidence, rel_tol=1e-6)
    )
    return replace(
        stored,
        words_for=again.words_for if same else (),
        words_against=again.words_against if same else (),
        neighbours=labelled if stored.field is Field.CATEGORY else (),
    )


def _how_sure(said: Prediction) -> str:
    return "earlier correction" if said.taught_by else f"{said.confidence:.0%} confidence"


def _by_matrix(said: Prediction, rules: Rules) -> Prediction:
    """The prediction with its priority by the current matrix of impact and urgency."""
    if said.impact is None or said.urgency is None:
        return said
    return replace(said, value=rules.matrix[(said.impact, said.urgency)])
