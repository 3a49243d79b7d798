"""Triage accuracy: what it said against what people decided."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.db import prediction_outcomes
from app.db.engine import reading
from app.db.prediction_outcomes import PredictionOutcome
from app.models.accuracy import (
    Accuracy,
    CalibrationBin,
    ClassRow,
    Counted,
    FieldAccuracy,
    LiveQuality,
    VersionRow,
)
from app.models.tickets import Priority
from app.models.triage import Field, TrackRecord, Verdict

SPANS = (30, 90)


class AccuracyService:
    """Every number is counted from the desk's own predictions, when somebody looks."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def view(self, days: int) -> Accuracy:
        """The last so many days."""
        since = self._now() - timedelta(days=days)
        with reading(self._engine) as conn:
            found = [
                (field, prediction_outcomes.grouped(conn, field, since=since)) for field in Field
            ]
        return Accuracy(days, tuple(_field(field, rows) for field, rows in found))


def _field(field: Field, rows: Sequence[PredictionOutcome]) -> FieldAccuracy:
    decided = [row for row in rows if row.proved]
    judged = [row for row in decided if row.sure]
    record = _record(judged)
    return FieldAccuracy(
        field=field,
        counted=_counted(rows),
        record=record,
        quality=_quality(field, judged) if record.enough else None,
        bins=_bins(decided),
        classes=_classes(judged),
        versions=tuple(
            VersionRow(
                model,
                _counted([row for row in rows if row.model == model]),
                _record(row for row in judged if row.model == model),
            )
            for model in sorted({row.model for row in rows})
        ),
    )


def _counted(rows: Sequence[PredictionOutcome]) -> Counted:
    verdicts: Counter[Verdict | None] = Counter()
    for row in rows:
        verdicts[row.verdict] += row.number
    untouched = verdicts[Verdict.UNTOUCHED]
    return Counted(
        predicted=sum(row.number for row in rows if row.sure),
        accepted=verdicts[Verdict.ACCEPTED] + untouched,
        untouched=untouched,
        replaced=verdicts[Verdict.REPLACED],
        not_sure=verdicts[Verdict.NOT_SURE],
    )


def _record(rows: Iterable[PredictionOutcome]) -> TrackRecord:
    right = total = 0
    for row in rows:
        total += row.number
        right += row.number if row.value == row.decided else 0
    return TrackRecord(right, total)


def _bins(rows: Iterable[PredictionOutcome]) -> tuple[CalibrationBin, ...]:
    by_tenth: dict[int, list[PredictionOutcome]] = {}
    for row in rows:
        by_tenth.setdefault(row.tenth, []).append(row)
    return tuple(
        CalibrationBin(
            low=tenth / 10,
            claimed=sum(row.claimed for row in found) / sum(row.number for row in found),
            record=_record(found),
        )
        for tenth, found in sorted(by_tenth.items())
    )


def _classes(rows: Sequence[PredictionOutcome]) -> tuple[ClassRow, ...]:
    names = {row.value for row in rows} | {row.decided for row in rows}
    return tuple(
        ClassRow(
            name,
            said=_record(row for row in rows if row.value == name),
            chosen=_record(row for row in rows if row.decided == name),
        )
        for name in sorted(name for name in names if name)
    )


def _quality(field: Field, rows: Sequence[PredictionOutcome]) -> LiveQuality:
    # scikit-learn takes a second to import: not before somebody looks.
    from app.copilot.metrics import label_quality, priority_quality

    pairs = [
        (row.decided, row.value)
        for row in rows
        for _ in range(row.number)
        if row.decided and row.value
    ]
    if field is Field.CATEGORY:
        found = label_quality(pairs)
        return LiveQuality(len(pairs), found.macro_f1, found.majority_macro_f1)
    ranked = priority_quality([(Priority(true), Priority(said)) for true, said in pairs])
    assert ranked is not None
    return LiveQuality(
        count=ranked.count,
        macro_f1=ranked.macro_f1,
        majority_macro_f1=ranked.majority_macro_f1,
        kappa=ranked.kappa,
        urgent=ranked.urgent,
        urgent_recall=ranked.urgent_recall,
        majority_urgent_recall=ranked.majority_urgent_recall,
    )
