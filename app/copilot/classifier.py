"""The category of a ticket: a linear model on words and letter groups, calibrated, by scikit-learn.

One code for everybody: the starter model, the desk's own, and `python -m app evaluate`.
"""

import hashlib
import pickle
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sklearn

from app.copilot.explain import Reasons, reasons
from app.copilot.features import Features
from app.copilot.held_out import FEW, MANY, MANY_ROWS, Task, hold_back
from app.copilot.linear import Linear
from app.copilot.metrics import (
    Floats,
)
from app.copilot.model_card import CategoryFigures
from app.copilot.text import cleaned, says_something
from app.copilot.types import CategoryPrediction, LabelledText

# From so many own tickets of a category on, its starter examples count for nothing.
ENOUGH_OF_A_CATEGORY = 50
# From so many own tickets on, no starter example does.
ENOUGH = 1000
FORMAT = f"category-model 1 scikit-learn {sklearn.__version__}\n".encode()


class TooFewExamples(ValueError):
    """There is nothing to tell apart."""


class CategoryModel:
    """Trained once, then only read: safe to share between threads."""

    def __init__(self, *, features: Features, linear: Linear, figures: CategoryFigures) -> None:
        self._features = features
        self._linear = linear
        self.figures = figures

    @property
    def version(self) -> str:
        return self.figures.version

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self._linear.classes)

    def predict(self, text: str) -> CategoryPrediction:
        """The category with its reasons; `value` is None for "not sure"."""
        text = cleaned(text)
        row = self._features.rows([text])
        if not row.nnz or not says_something(text):
            return self._unknown()
        shares = self._linear.shares(row)[0]
        why = self._reasons(text, row, shares)
        said = self._of_shares(shares)
        return replace(said, words_for=why.words_for, words_against=why.words_against)

    def likeliest(self, texts: Sequence[str]) -> list[CategoryPrediction]:
        """As `predict` of each text, without the words: all in one matrix."""
        texts = [cleaned(text) for text in texts]
        rows = self._features.rows(texts)
        known = rows.getnnz(axis=1) > 0
        return [
            self._of_shares(shares) if found and says_something(text) else self._unknown()
            for text, found, shares in zip(texts, known, self._linear.shares(rows), strict=True)
        ]

    def shares(self, texts: Sequence[str]) -> Floats:
        """The calibrated share of each class, a row a text."""
        return self._linear.shares(self._features.rows([cleaned(text) for text in texts]))

    def share_of_each(self, text: str) -> dict[str, float]:
        """How likely each category is for one text."""
        return dict(zip(self.classes, self.shares([text])[0].tolist(), strict=True))

    def to_bytes(self) -> bytes:
        """For keeping. Sign it: reading bytes that somebody else wrote would run their code."""
        return FORMAT + pickle.dumps(self, protocol=5)

    @staticmethod
    def from_bytes(stored: bytes) -> "CategoryModel":
        """What `to_bytes` wrote; check its signature first.

        Raises ValueError for what another version wrote.
        """
        if not stored.startswith(FORMAT):
            raise ValueError("The stored model was made by another version; train it again.")
        model = pickle.loads(stored[len(FORMAT) :])
        if not isinstance(model, CategoryModel):
            raise ValueError("The stored bytes are not a category model.")
        return model

    def _unknown(self) -> CategoryPrediction:
        return CategoryPrediction(None, 0.0, self.version, likeliest="", runner_up="")

    def _of_shares(self, shares: Floats) -> CategoryPrediction:
        """The likeliest class of one text."""
        second, first = (int(i) for i in shares.argsort()[-2:])
        confidence = float(shares[first])
        name = str(self._linear.classes[first])
        return CategoryPrediction(
            value=name if confidence >= self.figures.threshold else None,
            confidence=confidence,
            model=self.version,
            likeliest=name,
            runner_up=str(self._linear.classes[second]),
        )

    def _reasons(self, text: str, row: Any, shares: Floats) -> Reasons:
        second, first = (int(i) for i in shares.argsort()[-2:])

        def score(rows: Any) -> Floats:
            return np.where(rows.getnnz(axis=1) > 0, self._linear.shares(rows)[:, first], 0.0)

        lean = self._linear.weights[:, first] - self._linear.weights[:, second]
        return reasons(text, row, self._features, lean=lean, score=score)


def train(own: Sequence[LabelledText], starter: Sequence[LabelledText] = ()) -> CategoryModel:
    """A model of this desk's tickets, and of starter examples as long as those are few.

    Deterministic. Equal texts count once; of their labels the last one holds. Raises
    TooFewExamples when there are not two categories to tell apart.
    """
    started = time.perf_counter()
    mine = distinct(own)
    fading = _fading(mine)
    texts = {one.text for one in mine}
    kept = [one for one in distinct(starter) if fading(one.label) and one.text not in texts]
    examples = [*mine, *kept]
    labels = np.array([one.label for one in examples])
    if len(set(labels)) < 2:
        raise TooFewExamples("Two categories with examples are needed to tell them apart.")
    weight = np.array([*(1.0 for _ in mine), *(fading(one.label) for one in kept)])
    effort = MANY if len(examples) >= MANY_ROWS else FEW
    features = Features(least_texts=effort.least_texts)
    try:
        rows = features.fit([one.text for one in examples])
    except ValueError as exc:
        raise TooFewExamples("The texts hold no words to learn from.") from exc
    task = Task(rows, labels, weight, effort=effort, own=len(mine))
    held = hold_back(task)
    linear = replace(task.fit(), temperature=held.temperature)
    figures = CategoryFigures(
        version=_version(mine, kept),
        data_hash=_hash(examples),
        own=len(mine),
        starter=len(kept),
        duplicates=len(own) - len(mine),
        classes=tuple(sorted(Counter(labels.tolist()).items())),
        measured_on_own=held.on_own,
        threshold=held.threshold,
        coverage=held.coverage,
        quality=held.quality,
        seconds=time.perf_counter() - started,
    )
    return CategoryModel(features=features, linear=linear, figures=figures)


def distinct(examples: Sequence[LabelledText]) -> list[LabelledText]:
    """The examples as they are read, equal texts once; texts without a word are left out."""
    return [same[-1] for same in _by_text(examples)]


def contradicted(examples: Sequence[LabelledText]) -> int:
    """How many texts stand there with more than one label."""
    return sum(len({one.label for one in same}) > 1 for same in _by_text(examples))


def _by_text(examples: Sequence[LabelledText]) -> list[list[LabelledText]]:
    """The examples as they are read, those of one text together; texts without a word are out."""
    same: dict[str, list[LabelledText]] = {}
    for one in examples:
        text = cleaned(one.text)
        key = " ".join(text.lower().split())
        if key:
            same.setdefault(key, []).append(LabelledText(text, one.label))
    return list(same.values())


def _fading(mine: Sequence[LabelledText]) -> Callable[[str], float]:
    """What a starter example of a category weighs beside this desk's own tickets."""
    own = Counter(one.label for one in mine)
    overall = max(0.0, 1 - len(mine) / ENOUGH)

    def weight(label: str) -> float:
        return overall * max(0.0, 1 - own[label] / ENOUGH_OF_A_CATEGORY)

    return weight


def _hash(examples: Sequence[LabelledText]) -> str:
    """Of what was learned from, in hexadecimal."""
    lines = sorted(f"{one.label}\x1f{one.text}" for one in examples)
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()


def _version(mine: Sequence[LabelledText], kept: Sequence[LabelledText]) -> str:
    kind = "blend" if mine and kept else "desk" if mine else "starter"
    return f"{kind}-{_hash([*mine, *kept])[:8]}"
