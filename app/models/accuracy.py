"""Triage accuracy. Every metric comes with its number of cases."""

from dataclasses import dataclass

from app.models.triage import Field, TrackRecord


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of the predictions of one field by decision; `accepted` includes `untouched`."""

    predicted: int
    accepted: int
    untouched: int
    replaced: int
    not_sure: int

    @property
    def waiting(self) -> int:
        """Predictions without a decision."""
        return self.predicted - self.accepted - self.replaced


@dataclass(frozen=True, slots=True)
class LiveQuality:
    """Metrics of sure predictions against decisions, with the majority class as baseline.

    `kappa` (quadratic-weighted) and the recall of urgent tickets are for priority only;
    `urgent_recall` is None without urgent tickets.
    """

    count: int
    macro_f1: float
    majority_macro_f1: float
    kappa: float | None = None
    urgent: int = 0
    urgent_recall: float | None = None
    majority_urgent_recall: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions in one tenth of confidence: average confidence and correct ones."""

    low: float
    claimed: float
    record: TrackRecord


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Precision (`said`) and recall (`chosen`) of one value."""

    name: str
    said: TrackRecord
    chosen: TrackRecord


@dataclass(frozen=True, slots=True)
class VersionRow:
    """The counts of one model version."""

    model: str
    counted: Counted
    record: TrackRecord


@dataclass(frozen=True, slots=True)
class FieldAccuracy:
    """The accuracy of one field over a number of days; `quality` is None with too few decisions."""

    field: Field
    counted: Counted
    record: TrackRecord
    quality: LiveQuality | None
    bins: tuple[CalibrationBin, ...]
    classes: tuple[ClassRow, ...]
    versions: tuple[VersionRow, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The accuracy of each field over the last `days` days."""

    days: int
    fields: tuple[FieldAccuracy, ...]


@dataclass(frozen=True, slots=True)
class TriageCounts:
    """Triage results of the tickets created in the last `days` days."""

    days: int
    triaged: int
    untouched: int
    deflected: int
