"""How good predictions are: pure figures over confidences and hits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, f1_score

from app.models.tickets import Priority

BINS = 15

Floats = NDArray[np.float64]
Labels = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of predictions for `count` texts. Shares are 0 to 1."""

    count: int
    accuracy: float
    macro_f1: float
    top3: float
    majority: float
    calibration_error: float
    coverage_90: float
    coverage_95: float


def quality(truth: Labels, shares: Floats, classes: Labels) -> Quality:
    """`shares` has a row a text and a column a class; `truth` may hold other classes too."""
    confidence, right = confidence_and_hits(truth, shares, classes)
    likeliest = classes[shares.argsort(axis=1)[:, ::-1]]
    return Quality(
        count=len(truth),
        accuracy=float(right.mean()),
        macro_f1=_macro_f1(truth, likeliest[:, 0]),
        top3=float((likeliest[:, :3] == truth[:, None]).any(axis=1).mean()),
        majority=float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
        calibration_error=calibration_error(confidence, right),
        coverage_90=coverage_at(0.90, confidence, right)[0],
        coverage_95=coverage_at(0.95, confidence, right)[0],
    )  # fmt: skip


def confidence_and_hits(truth: Labels, shares: Floats, classes: Labels) -> tuple[Floats, Any]:
    """The share of each text's likeliest class, and whether that class is the true one."""
    return shares.max(axis=1), classes[shares.argmax(axis=1)] == truth


def calibration_error(confidence: Floats, right: Any) -> float:
    """Mean distance of stated confidence and reached accuracy, in bins of equal width."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def coverage_at(precision: float, confidence: Floats, right: Any) -> tuple[float, float]:
    """The largest share of texts, most confident first, with that precision; and its threshold.

    Nothing reaches it: 0.0 and a threshold above every confidence.
    """
    order = np.argsort(-confidence, kind="stable")
    reached = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(reached >= precision)
    if not enough.size:
        return 0.0, 1.01
    last = int(enough[-1])
    return (last + 1) / len(order), float(confidence[order[last]])


@dataclass(frozen=True, slots=True)
class PriorityQuality:
    """Predicted priorities against true ones, beside what the commonest priority would reach.

    `kappa` is quadratic-weighted: 1 is agreement, 0 is chance, a near miss costs less than a far
    one. Always guessing one priority has a kappa of 0. `urgent_recall` is None without urgent ones.
    """

    count: int
    kappa: float
    macro_f1: float
    urgent: int
    urgent_recall: float | None
    majority_macro_f1: float
    majority_urgent_recall: float | None


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Said labels against true ones, beside what always the commonest true one would reach."""

    count: int
    macro_f1: float
    majority_macro_f1: float


def label_quality(pairs: Sequence[tuple[str, str]]) -> LabelQuality:
    """`pairs` are (true, said), at least one."""
    truth, said = [true for true, _ in pairs], [guess for _, guess in pairs]
    commonest = Counter(truth).most_common(1)[0][0]
    return LabelQuality(
        len(pairs), _macro_f1(truth, said), _macro_f1(truth, [commonest] * len(pairs))
    )


def priority_quality(pairs: Sequence[tuple[Priority, Priority]]) -> PriorityQuality | None:
    """`pairs` are (true, predicted); None without any."""
    if not pairs:
        return None
    order = list(Priority)
    truth = [order.index(true) for true, _ in pairs]
    found = [order.index(guess) for _, guess in pairs]
    top = order.index(Priority.URGENT)
    commonest = Counter(truth).most_common(1)[0][0]
    hits = [guess == top for true, guess in zip(truth, found, strict=True) if true == top]
    kappa = float(cohen_kappa_score(truth, found, weights="quadratic", labels=range(len(order))))
    return PriorityQuality(
        count=len(pairs),
        kappa=0.0 if np.isnan(kappa) else kappa,
        macro_f1=_macro_f1(truth, found),
        urgent=len(hits),
        urgent_recall=sum(hits) / len(hits) if hits else None,
        majority_macro_f1=_macro_f1(truth, [commonest] * len(truth)),
        majority_urgent_recall=float(commonest == top) if hits else None,
    )


def _macro_f1(truth: Any, found: Any) -> float:
    """Over the classes that are in `truth`."""
    labels = np.unique(truth)
    return float(f1_score(truth, found, labels=labels, average="macro", zero_division=0))
