"""Train on one part of an export, ask about the other, by the code that trains the desk's model."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import train_test_split

from app.copilot.classifier import (
    CategoryModel,
    TooFewExamples,
    contradicted,
    distinct,
    train,
)
from app.copilot.evaluation.export import Export
from app.copilot.metrics import Floats, Labels, Quality, quality
from app.copilot.types import LabelledText
from app.errors import Invalid

SEED = 42
TEST_SHARE = 0.2
LEAST_ROWS = 50
# A category with fewer texts is learned from, but not measured.
LEAST_OF_A_CLASS = 5
EXPLAINED = 100
CURVE = (100, 250, 500, 1000, 2500, 5000, 10_000, 20_000)
DRAWS = 5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One category: how many of its texts were asked about, and how it went."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy with so many training texts: the mean of `draws` random draws."""

    trained_on: int
    draws: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the model was worth on the held-back part."""

    rows: int
    unusable: int
    duplicates: int
    contradicted: int
    classes: int
    trained_on: int
    quality: Quality
    threshold: float
    filled_in: float
    filled_in_right: float | None
    per_class: tuple[ClassFigures, ...]
    too_rare: tuple[str, ...]
    leaks: tuple[str, ...]
    training_seconds: float
    explained_ms: float
    seconds: float
    curve: tuple[CurvePoint, ...] = ()


def evaluate(export: Export, *, learning_curve: bool, say: Say) -> Evaluation:
    """Figures of a model of this export. Raises Invalid for one that cannot be measured."""
    started = time.perf_counter()
    examples = distinct(export.examples)
    _check(export, examples)
    known, asked = _split(examples)
    say(f"Training on {len(known):,} texts of {len(_names(known))} categories ...")
    model = train(known)
    say(f"Trained in {model.figures.seconds:.1f} s. Testing on {len(asked):,} rows ...")
    truth, classes = np.array([one.label for one in asked]), np.array(model.classes)
    shares = model.shares([one.text for one in asked])
    sure = shares.max(axis=1) >= model.figures.threshold
    right = classes[shares.argmax(axis=1)] == truth
    counts = Counter(one.label for one in examples)
    return Evaluation(
        rows=export.rows,
        unusable=export.unusable,
        duplicates=len(export.examples) - len(examples),
        contradicted=contradicted(export.examples),
        classes=len(counts),
        trained_on=len(known),
        quality=quality(truth, shares, classes),
        threshold=model.figures.threshold,
        filled_in=float(sure.mean()),
        filled_in_right=float(right[sure].mean()) if sure.any() else None,
        per_class=_per_class(truth, shares, classes),
        too_rare=tuple(sorted(name for name, n in counts.items() if n < LEAST_OF_A_CLASS)),
        leaks=export.leaks + _named_in_the_text(examples),
        training_seconds=model.figures.seconds,
        explained_ms=_explained_ms(model, asked),
        curve=_curve(known, asked, say=say) if learning_curve else (),
        seconds=time.perf_counter() - started,
    )


def _check(export: Export, examples: Sequence[LabelledText]) -> None:
    if not export.rows:
        raise Invalid("The file has a header but no rows.")
    if not export.examples:
        raise Invalid("No row has both a text and a label.")
    if not examples:
        raise Invalid("No text has a word to learn from.")
    if len(_names(examples)) < 2:
        raise Invalid(_one_category(export, examples))
    counts = Counter(one.label for one in examples)
    common = [name for name, count in counts.items() if count >= LEAST_OF_A_CLASS]
    if len(examples) < LEAST_ROWS or len(common) < 2:
        raise Invalid(
            f"Not enough rows: {len(examples):,} different texts. {LEAST_ROWS} are needed, "
            f"and two categories with {LEAST_OF_A_CLASS} each."
        )


def _one_category(export: Export, examples: Sequence[LabelledText]) -> str:
    name = repr(examples[0].label)
    if len(_names(export.examples)) < 2:
        return f"There is one category only: {name}. Two are needed."
    return (
        f"The same text has different labels in {contradicted(export.examples):,} cases. The last "
        f"label of each text counts, and that leaves one category: {name}. Two are needed."
    )


def _names(examples: Sequence[LabelledText]) -> set[str]:
    return {one.label for one in examples}


def _split(
    examples: Sequence[LabelledText],
) -> tuple[list[LabelledText], list[LabelledText]]:
    """80 % to learn from and 20 % to ask about, each category alike; rare ones only teach."""
    counts = Counter(one.label for one in examples)
    common = [one for one in examples if counts[one.label] >= LEAST_OF_A_CLASS]
    known, asked = train_test_split(
        common,
        test_size=TEST_SHARE,
        stratify=[one.label for one in common],
        random_state=SEED,
    )
    rare = [one for one in examples if counts[one.label] < LEAST_OF_A_CLASS]
    return [*known, *rare], list(asked)


def _per_class(truth: Labels, shares: Floats, classes: Labels) -> tuple[ClassFigures, ...]:
    names = np.unique(truth)
    figures = precision_recall_fscore_support(
        truth, classes[shares.argmax(axis=1)], labels=names, zero_division=0
    )
    return tuple(
        ClassFigures(str(name), int(count), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, count in zip(names, *figures, strict=True)
    )


def _named_in_the_text(examples: Sequence[LabelledText]) -> tuple[str, ...]:
    """A leak when nearly every text holds the name of its own category."""
    holding = sum(one.label.lower() in one.text.lower() for one in examples)
    if holding < 0.95 * len(examples):
        return ()
    return (f"{holding:,} of {len(examples):,} texts contain the name of their category",)


def _explained_ms(model: CategoryModel, asked: Sequence[LabelledText]) -> float:
    spans = []
    for one in asked[:EXPLAINED]:
        started = time.perf_counter()
        model.predict(one.text)
        spans.append(1000 * (time.perf_counter() - started))
    return float(np.median(spans))


def _curve(
    known: Sequence[LabelledText], asked: Sequence[LabelledText], *, say: Say
) -> tuple[CurvePoint, ...]:
    """More training texts, drawn at random; several draws while a draw decides much."""
    points = []
    for size in (size for size in CURVE if size < len(known)):
        say(f"Learning curve: {size:,} texts ...")
        draws = DRAWS if size <= 1000 else 1
        tried = (_drawn(known, asked, size=size, draw=draw) for draw in range(draws))
        found = [one for one in tried if one is not None]
        if not found:
            continue
        points.append(
            CurvePoint(
                trained_on=size,
                draws=len(found),
                accuracy=float(np.mean([one.accuracy for one in found])),
                macro_f1=float(np.mean([one.macro_f1 for one in found])),
            )
        )
    return tuple(points)


def _drawn(
    known: Sequence[LabelledText], asked: Sequence[LabelledText], *, size: int, draw: int
) -> Quality | None:
    """None for a draw of one category only."""
    places = np.random.default_rng(SEED + draw).choice(len(known), size, replace=False)
    try:
        model = train([known[i] for i in places])
    except TooFewExamples:
        return None
    truth = np.array([one.label for one in asked])
    return quality(truth, model.shares([one.text for one in asked]), np.array(model.classes))
