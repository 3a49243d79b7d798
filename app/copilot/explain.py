"""Which words of a text pushed a linear model where it went."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.copilot.features import EDGES, Features, bare
from app.copilot.metrics import Floats
from app.copilot.text import EMPTY_WORDS

# Named at most: six words in all, two of them against.
WORDS = 6
AGAINST = 2
# Tried out, a side: their effect is measured by leaving them out.
TRIED = 5
# Beyond three words, one with less than this share of the strongest effect explains nothing.
ENOUGH = 3
WORTH_NAMING = 0.05


@dataclass(frozen=True, slots=True)
class Reasons:
    """Whole words of the text, strongest first."""

    words_for: tuple[str, ...] = ()
    words_against: tuple[str, ...] = ()


def reasons(
    text: str, row: Any, features: Features, *, lean: Floats, score: Callable[[Any], Floats]
) -> Reasons:
    """The words that raise or lower `score`, the confidence in the predicted value, of a row.

    `row` is the text's; `lean` has a weight a feature: the value's less the runner-up's. Letter
    groups lie within words, so a word answers for its own. That finds the candidates; each is then
    left out and the text scored again, so what is said of a word holds.
    """
    words = _distinct(text)
    telling = [word for word in words if word not in EMPTY_WORDS]
    candidates = _candidates(telling or list(words), row, features, lean=lean)
    if not candidates:
        return Reasons()
    drops = score(row) - score(features.rows_without(text, candidates))
    effects = sorted(zip(drops, candidates, strict=True), key=lambda one: -abs(one[0]))
    least = WORTH_NAMING * abs(effects[0][0])
    named = [
        (effect, words[word])
        for place, (effect, word) in enumerate(effects)
        if abs(effect) > least or (effect and place < ENOUGH)
    ]
    against = tuple(word for effect, word in named if effect < 0)[:AGAINST]
    favour = tuple(word for effect, word in named if effect > 0)[: WORDS - len(against)]
    return Reasons(favour, against)


def _candidates(words: list[str], row: Any, features: Features, *, lean: Floats) -> list[str]:
    if not words:
        return []
    pushes = np.zeros(row.shape[1], dtype=np.float32)
    pushes[row.indices] = row.data * lean[row.indices]
    totals = features.parts(words) @ pushes
    order = totals.argsort(kind="stable")
    both = [*order[::-1][:TRIED], *order[:TRIED]]
    return [words[i] for i in dict.fromkeys(both) if totals[i]]


def _distinct(text: str) -> dict[str, str]:
    """Each word as words are compared, with the spelling in which it comes first."""
    found: dict[str, str] = {}
    for chunk in text.split():
        word = bare(chunk)
        if len(word) > 1:
            found.setdefault(word, chunk.strip(EDGES))
    return found
