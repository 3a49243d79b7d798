"""What a model is worth: rows are held back from it, and it is asked about them."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.model_selection import StratifiedKFold

from app.copilot.linear import SEED, Linear, temperature_for
from app.copilot.metrics import (
    Floats,
    Labels,
    Quality,
    confidence_and_hits,
    coverage_at,
    quality,
)

# What the threshold aims at: of the categories that are filled in, this share is right.
PRECISION = 0.92
# Never filled in below it, whatever was measured: it would as soon be wrong as right.
LEAST_THRESHOLD = 0.4
# Above every confidence.
NEVER = 1.01
FOLDS = 5
# With so many own tickets held back, the figures are about them alone.
ENOUGH_TO_MEASURE = 60


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is fitted. Many rows: rare words are noise, labels are noisier, one fold will do."""

    least_texts: int
    penalty: float
    folds: int


FEW = Effort(least_texts=1, penalty=1.0, folds=FOLDS)
MANY = Effort(least_texts=3, penalty=0.3, folds=1)
MANY_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learned: rows with labels and weights, the `own` ones first."""

    rows: Any
    labels: Labels
    weight: Floats
    effort: Effort
    own: int

    def fit(self, among: Any = slice(None)) -> Linear:
        """The linear model of these rows."""
        return Linear.fit(
            self.rows[among],
            self.labels[among],
            weight=self.weight[among],
            penalty=self.effort.penalty,
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What held-back rows showed."""

    temperature: float
    threshold: float
    coverage: float
    on_own: bool
    quality: Quality | None


def hold_back(task: Task) -> Held:
    """Predict each row by a model that has not seen it; choose temperature and threshold by that.

    Features are fitted once on all rows (without looking at labels). Many rows: one part is held
    back instead of each in turn.
    """
    where: list[Any] = []
    scores: list[Floats] = []
    for seen, unseen in _folds(task):
        where.append(unseen)
        scores.append(task.fit(seen).scores(task.rows[unseen]))
    if not where:
        return Held(1.0, NEVER, 0.0, on_own=False, quality=None)
    measured, found = np.concatenate(where), np.concatenate(scores)
    on_own = int((measured < task.own).sum()) >= ENOUGH_TO_MEASURE
    if on_own:
        found, measured = found[measured < task.own], measured[measured < task.own]
    truth, classes = task.labels[measured], np.unique(task.labels)
    temperature = temperature_for(found, np.searchsorted(classes, truth))
    shares = softmax(found / temperature, axis=1)
    coverage, threshold = coverage_at(PRECISION, *confidence_and_hits(truth, shares, classes))
    return Held(
        temperature=temperature,
        threshold=max(threshold, LEAST_THRESHOLD),
        coverage=coverage,
        on_own=on_own,
        quality=quality(truth, shares, classes),
    )


def _folds(task: Task) -> Iterator[tuple[Any, Any]]:
    """Rows seen and rows held back; those of categories too rare to be split are always seen."""
    counts = Counter(task.labels.tolist())
    common = np.array([counts[label] >= FOLDS for label in task.labels.tolist()])
    if len(set(task.labels[common])) < 2:
        return
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    places = np.flatnonzero(common)
    parts = splits.split(places, task.labels[common])
    for seen, unseen in itertools.islice(parts, task.effort.folds):
        yield np.concatenate([places[seen], np.flatnonzero(~common)]), places[unseen]
