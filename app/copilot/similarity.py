"""How alike two texts are, and what that has meant: cosine of TF-IDF, with a record of its hits."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from app.copilot.knowledge import load_examples
from app.copilot.tokenizer import problem_words

# Below this similarity nothing is shown.
LEAST_SCORE = 0.15
# Fewer pairs than this say nothing about a score.
FEWEST_PAIRS = 30
BINS = 10


class Vocabulary:
    """How common words are, from a sample of texts; `total` is how many texts there are.

    The texts that `beside` was made from count as if they were in the sample.
    """

    def __init__(
        self, texts: Iterable[Sequence[str]], *, total: int = 0, beside: "Vocabulary | None" = None
    ) -> None:
        counts: Counter[str] = Counter(beside._counts if beside else {})
        sampled: int = beside._sampled if beside else 0
        for words in texts:
            sampled += 1
            counts.update(set(words))
        self._sampled: int = max(sampled, 1)
        self._total = max(total, sampled)
        # A word seen once weighs as one never seen; keeping them all would cost the most room.
        self._counts: dict[str, int] = {word: n for word, n in counts.items() if n > 1}

    def weight(self, word: str) -> float:
        """The inverse document frequency: rare words say more."""
        return 1.0 + math.log((1 + self._sampled) / (1 + self._counts.get(word, 1)))

    def holders(self, *words: str) -> int:
        """About how many texts hold all of these words, if they were spread by chance."""
        shares = (self._counts.get(word, 1) / self._sampled for word in words)
        return round(self._total * math.prod(shares))

    def rarest(self, words: Iterable[str], *, limit: int) -> list[str]:
        """The rarest different words of two letters or more, rarest first."""
        asked = {word for word in words if len(word) > 1}
        return sorted(asked, key=lambda word: (self.holders(word), word))[:limit]

    def vector(self, words: Sequence[str]) -> dict[str, float]:
        """The words with their weights, of length 1."""
        weights = {w: (1 + math.log(n)) * self.weight(w) for w, n in Counter(words).items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}


def cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """The cosine of two vectors of length 1."""
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(word, 0.0) for word, weight in one.items())


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs scored from `low` on: how many there were, and which share had one category."""

    low: float
    share: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a score has meant. `basis` says whose pairs these were: starter or desk."""

    basis: str
    bins: tuple[Bin, ...]

    @property
    def pairs(self) -> int:
        return sum(one.pairs for one in self.bins)

    def of(self, score: float) -> Bin | None:
        """The pairs that scored alike; None when there are too few to say anything."""
        if not self.bins:
            return None
        at = max(bisect_right([one.low for one in self.bins], score) - 1, 0)
        found = self.bins[at]
        return found if found.pairs >= FEWEST_PAIRS else None


def calibrate(pairs: Iterable[tuple[float, bool]], *, basis: str) -> Calibration:
    """Ten bins with equally many pairs, merged until a higher score never means less."""
    ordered = sorted(pairs)
    size = max(FEWEST_PAIRS, math.ceil(len(ordered) / BINS))
    bins: list[tuple[float, int, int]] = []
    for start in range(0, len(ordered), size):
        chunk = ordered[start : start + size]
        bins.append((chunk[0][0], sum(same for _, same in chunk), len(chunk)))
        while len(bins) > 1 and _falls(bins[-2], bins[-1]):
            low, same, count = bins[-2]
            bins[-2:] = [(low, same + bins[-1][1], count + bins[-1][2])]
    return Calibration(basis, tuple(Bin(low, same / count, count) for low, same, count in bins))


def _falls(lower: tuple[float, int, int], higher: tuple[float, int, int]) -> bool:
    """A smaller share for more similarity, the same similarity, or too few pairs for a share."""
    if higher[0] == lower[0]:
        return True
    return higher[1] / higher[2] < lower[1] / lower[2] or higher[2] < FEWEST_PAIRS


def pairs_among(
    texts: Sequence[tuple[str, Sequence[str]]], vocabulary: Vocabulary, *, nearest: int = 5
) -> list[tuple[float, bool]]:
    """Each labelled text against the others: its nearest ones' scores, and whether labels agree."""
    vectors = [(label, vocabulary.vector(words)) for label, words in texts]
    holding: dict[str, list[tuple[int, float]]] = {}
    for number, (_, vector) in enumerate(vectors):
        for word, weight in vector.items():
            holding.setdefault(word, []).append((number, weight))
    found: list[tuple[float, bool]] = []
    for number, (label, vector) in enumerate(vectors):
        scores: Counter[int] = Counter()
        for word, weight in vector.items():
            for other, its in holding[word]:
                scores[other] += weight * its  # type: ignore[assignment]
        del scores[number]
        found += [
            (score, vectors[other][0] == label)
            for other, score in scores.most_common(nearest)
            if score >= LEAST_SCORE
        ]
    return found


@cache
def starter_texts() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The starter examples: category and words."""
    return tuple(
        (one.category, tuple(problem_words(one.subject, one.description)))
        for one in load_examples()
    )


@cache
def starter_vocabulary() -> Vocabulary:
    return Vocabulary(words for _, words in starter_texts())


@cache
def starter_calibration() -> Calibration:
    """What a score means among the starter examples; takes half a second, once."""
    pairs = pairs_among(starter_texts(), starter_vocabulary())
    return calibrate(pairs, basis="starter")
