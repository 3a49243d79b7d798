"""Priority from text: how many are affected, how much it hurts, and the desk's matrix of the two.

Text says little about either, so what it does say is looked for phrase by phrase (signs.py), and a
linear model weighs the phrases and words by examples: the starter's, and the desk's overrides.
"""

import hashlib
import pickle
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sklearn
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from app.copilot.metrics import Floats, PriorityQuality, priority_quality
from app.copilot.model_card import PriorityFigures
from app.copilot.phrase_lexicon import LEVELS, Sign, Signs
from app.copilot.text import EMPTY_WORDS, cleaned
from app.copilot.types import PRIORITY_OF, LabelledPriority, Level, PriorityPrediction
from app.models.triage import Matrix

SEED = 7
PENALTY = 1.0
# One override says as much as this many starter examples.
OVERRIDE_WEIGHT = 4.0
WORDS = 3
# Assumed of a scale that knows no word of a text.
LEAST = 3
FOLDS = 5
# With so many overrides held back, the figures are about them alone.
ENOUGH_TO_MEASURE = 60
FORMAT = f"priority-model 1 scikit-learn {sklearn.__version__}\n".encode()


class PriorityModel:
    """Trained once, then only read: safe to share between threads."""

    def __init__(self, impact: "Scale", urgency: "Scale", figures: PriorityFigures) -> None:
        self._impact = impact
        self._urgency = urgency
        self.figures = figures

    @property
    def version(self) -> str:
        return self.figures.version

    def predict(self, text: str, matrix: Matrix = PRIORITY_OF) -> PriorityPrediction:
        """Impact, urgency and the priority that the matrix makes of them."""
        text = cleaned(text)
        return self._made_of(self._impact.level(text), self._urgency.level(text), matrix)

    def likeliest(
        self, texts: Sequence[str], matrix: Matrix = PRIORITY_OF
    ) -> list[PriorityPrediction]:
        """As `predict` of each text, without the words: all in one matrix."""
        texts = [cleaned(text) for text in texts]
        pairs = zip(self._impact.levels(texts), self._urgency.levels(texts), strict=True)
        return [self._made_of(impact, urgency, matrix) for impact, urgency in pairs]

    def _made_of(
        self, of_impact: tuple[Level, Floats], of_urgency: tuple[Level, Floats], matrix: Matrix
    ) -> PriorityPrediction:
        (impact, impacts), (urgency, urgencies) = of_impact, of_urgency
        if impact.value is None and urgency.value is None:
            return PriorityPrediction(None, 0.0, self.version, impact=impact, urgency=urgency)
        value = matrix[(impact.value or LEAST, urgency.value or LEAST)]
        alike = np.array([[matrix[(i, u)] == value for u in LEVELS] for i in LEVELS])
        return PriorityPrediction(
            value=value,
            confidence=float(np.outer(impacts, urgencies)[alike].sum()),
            model=self.version,
            impact=impact,
            urgency=urgency,
        )

    def to_bytes(self) -> bytes:
        """For keeping. Sign it: reading bytes that somebody else wrote would run their code."""
        return FORMAT + pickle.dumps(self, protocol=5)

    @staticmethod
    def from_bytes(stored: bytes) -> "PriorityModel":
        """What `to_bytes` wrote; check its signature first.

        Raises ValueError for what another version wrote.
        """
        if not stored.startswith(FORMAT):
            raise ValueError("The stored model was made by another version; train it again.")
        model = pickle.loads(stored[len(FORMAT) :])
        if not isinstance(model, PriorityModel):
            raise ValueError("The stored bytes are not a priority model.")
        return model


class Scale:
    """Levels 1 to 3 of impact or urgency: phrases and words, weighed by examples."""

    def __init__(self, name: str) -> None:
        self._signs = Signs(name)
        self.rules = self._signs.written
        self._words = TfidfVectorizer(min_df=2, sublinear_tf=True, strip_accents="unicode")
        self._model = LogisticRegression(C=PENALTY, max_iter=500, random_state=SEED)

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the words of all texts; answers a row of features a text."""
        self._words.fit(texts)
        return self._rows(texts, [self._signs.find(text) for text in texts])

    def weigh(self, rows: Any, levels: Any, weight: Floats) -> "Scale":
        """Learn what each feature says of the level."""
        # So small a problem is slower on several threads, and the pages need the other cores.
        with threadpool_limits(1, user_api="blas"):
            self._model.fit(rows, levels, sample_weight=weight)
        return self

    def shares(self, rows: Any) -> Floats:
        """A row a text, a column a level; zero for a level without an example."""
        found = np.zeros((rows.shape[0], len(LEVELS)))
        found[:, self._model.classes_ - 1] = self._model.predict_proba(rows)
        return found

    def level(self, text: str) -> tuple[Level, Floats]:
        """The likeliest level with its words, and the share of each; unknown without a word."""
        ((level, shares),) = self.levels([text])
        if level.value is None:
            return level, shares
        signs = self._signs.find(text)
        phrases = dict.fromkeys(sign.words for sign in signs if sign.level == level.value)
        words = tuple(phrases) or self._strongest(text, level.value)
        told = tuple(one for one in words if one not in EMPTY_WORDS)
        return replace(level, words=told[:WORDS]), shares

    def levels(self, texts: Sequence[str]) -> list[tuple[Level, Floats]]:
        """As `level` of each text, without the words."""
        rows = self._rows(texts, [self._signs.find(text) for text in texts])
        known = rows.getnnz(axis=1) > 0
        return [
            (Level(LEVELS[one.argmax()], float(one.max())) if found else Level(None, 0.0), one)
            for found, one in zip(known, self.shares(rows), strict=True)
        ]

    def _strongest(self, text: str, level: int) -> tuple[str, ...]:
        if level not in self._model.classes_ or len(self._model.classes_) < 2:
            return ()
        row = self._words.transform([text])
        names = self._words.get_feature_names_out()
        weights = self._weights(level)[: len(names)]
        pushes = sorted(((row[0, i] * weights[i], names[i]) for i in row.indices), reverse=True)
        return tuple(str(name) for push, name in pushes if push > 0)

    def _weights(self, level: int) -> Any:
        column = int(np.flatnonzero(self._model.classes_ == level)[0])
        if len(self._model.coef_) == 1:
            return self._model.coef_[0] * (1 if column else -1)
        return self._model.coef_[column]

    def _rows(self, texts: Sequence[str], found: Sequence[Sequence[Sign]]) -> Any:
        """TF-IDF of the words; then, a level a column: whether it has a phrase, whether it is the
        highest that has one, and how many it has, halved.
        """
        count = len(LEVELS)
        signed = np.zeros((len(texts), 3 * count))
        for row, signs in zip(signed, found, strict=True):
            for sign in signs:
                row[sign.level - 1] = 1
                row[2 * count + sign.level - 1] += 0.5
            if signs:
                row[count - 1 + min(sign.level for sign in signs)] = 1
        return hstack([self._words.transform(texts), csr_matrix(signed)], format="csr")


def train_priority(
    overrides: Sequence[LabelledPriority], starter: Sequence[LabelledPriority]
) -> PriorityModel:
    """A model of the starter examples and of what this desk's people set instead.

    Deterministic. Raises ValueError without any example.
    """
    started = time.perf_counter()
    examples = [
        LabelledPriority(cleaned(one.text), one.impact, one.urgency)
        for one in (*overrides, *starter)
    ]
    if not examples:
        raise ValueError("There is no example of impact and urgency.")
    weight = np.array([OVERRIDE_WEIGHT] * len(overrides) + [1.0] * len(starter))
    scales = (Scale("impact"), Scale("urgency"))
    texts = [one.text for one in examples]
    rows = [scale.fit(texts) for scale in scales]
    levels = np.array([(one.impact, one.urgency) for one in examples])
    on_own = len(overrides) >= ENOUGH_TO_MEASURE
    measured = len(overrides) if on_own else len(examples)
    quality = _held_back(scales, rows, levels, weight=weight, measured=measured)
    for column, scale in enumerate(scales):
        scale.weigh(rows[column], levels[:, column], weight)
    lines = [f"{one.impact}{one.urgency}{one.text}" for one in examples]
    content = "\x1e".join([*lines, *(scale.rules for scale in scales)])
    data_hash = hashlib.sha256(content.encode()).hexdigest()
    kind = "blend" if overrides else "starter"
    figures = PriorityFigures(
        version=f"{kind}-{data_hash[:8]}",
        data_hash=data_hash,
        own=len(overrides),
        starter=len(starter),
        measured_on_own=on_own,
        quality=quality,
        seconds=time.perf_counter() - started,
    )
    return PriorityModel(*scales, figures)


def _held_back(
    scales: Sequence[Scale], rows: Sequence[Any], levels: Any, *, weight: Floats, measured: int
) -> PriorityQuality | None:
    """Each of the first `measured` examples asked of weights that were learned without it."""
    if len(levels) < ENOUGH_TO_MEASURE:
        return None
    found = np.zeros_like(levels)
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=SEED).split(levels):
        for column, scale in enumerate(scales):
            scale.weigh(rows[column][seen], levels[seen, column], weight[seen])
            found[unseen, column] = scale.shares(rows[column][unseen]).argmax(axis=1) + 1
    pairs = zip(levels[:measured].tolist(), found[:measured].tolist(), strict=True)
    return priority_quality(
        [(PRIORITY_OF[(i, u)], PRIORITY_OF[(a, b)]) for (i, u), (a, b) in pairs]
    )
