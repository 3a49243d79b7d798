"""How right triage was on this desk. No figure stands without the number of cases behind it."""

from dataclasses import dataclass

from app.models.triage import Field, TrackRecord


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the predictions of one field. `untouched` ones are among the `accepted`."""

    predicted: int
    accepted: int
    untouched: int
    replaced: int
    not_sure: int

    @property
    def waiting(self) -> int:
        """Predicted, and nobody has decided yet."""
        return self.predicted - self.accepted - self.replaced


@dataclass(frozen=True, slots=True)
class LiveQuality:
    """Sure predictions against what people decided, beside always guessing the commonest value.

    `kappa` (quadratic-weighted) and the recall of urgent tickets are there for priority only;
    `urgent_recall` is None without an urgent ticket.
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
    """Predictions of one tenth of confidence: what was claimed on average, what was right."""

    low: float
    claimed: float
    record: TrackRecord


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One value: how often it was right where it was said, and found where people chose it."""

    name: str
    said: TrackRecord
    chosen: TrackRecord


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What one model did."""

    model: str
    counted: Counted
    record: TrackRecord


@dataclass(frozen=True, slots=True)
class FieldAccuracy:
    """One field over one span of days. `quality` is None while too few were decided on."""

    field: Field
    counted: Counted
    record: TrackRecord
    quality: LiveQuality | None
    bins: tuple[CalibrationBin, ...]
    classes: tuple[ClassRow, ...]
    versions: tuple[VersionRow, ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The last `days` days, a field each."""

    days: int
    fields: tuple[FieldAccuracy, ...]


@dataclass(frozen=True, slots=True)
class TriageCounts:
    """For the dashboard: of the tickets opened in the last `days` days."""

    days: int
    triaged: int
    untouched: int
    deflected: int
