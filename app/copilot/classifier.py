"""Category, impact and urgency from text: TF-IDF and linear models, by scikit-learn."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline

from app.copilot.text import cleaned
from app.copilot.values import PRIORITY_OF, Example, Guess

# Below this a category is not filled in: better no answer than a wrong one.
THRESHOLD = 0.42
SEED = 7


class Classifier:
    """Trained once, then only read: safe to share between threads."""

    def __init__(self, examples: Sequence[Example], *, threshold: float = THRESHOLD) -> None:
        texts = [cleaned(example.text) for example in examples]
        content = "\x1f".join(
            f"{one.category}{one.impact}{one.urgency}{one.text}" for one in examples
        )
        self.version = f"starter-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        self._threshold = threshold
        self._features = _features().fit(texts)
        rows = self._features.transform(texts)
        self._category = _linear().fit(rows, [example.category for example in examples])
        self._impact = _linear().fit(rows, [example.impact for example in examples])
        self._urgency = _linear().fit(rows, [example.urgency for example in examples])
        # What is said of a text without one known word: nothing.
        self._words = self._features.named_steps["union"].transformer_list[0][1].vocabulary_

    def category(self, text: str) -> Guess:
        """The category, None below the threshold."""
        value, confidence = self._best(self._category, text)
        sure = confidence >= self._threshold
        return Guess(str(value) if sure else None, confidence, self.version)

    def priority(self, text: str) -> Guess:
        """Impact and urgency, combined by ServiceNow's matrix; as sure as the less sure one."""
        impact, how_sure = self._best(self._impact, text)
        urgency, as_sure = self._best(self._urgency, text)
        confidence = min(how_sure, as_sure)
        if not confidence:
            return Guess(None, 0.0, self.version)
        return Guess(PRIORITY_OF[(int(impact), int(urgency))], confidence, self.version)

    def _best(self, model: LogisticRegression, text: str) -> tuple[Any, float]:
        row = self._features.transform([cleaned(text)])
        if not row.nnz or not self._knows_a_word(text):
            return model.classes_[0], 0.0
        shares = model.predict_proba(row)[0]
        best = int(shares.argmax())
        return model.classes_[best], float(shares[best])

    def _knows_a_word(self, text: str) -> bool:
        return any(word in self._words for word in cleaned(text).lower().split())


def _features() -> Pipeline:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, strip_accents="unicode"
    )
    return Pipeline([("union", FeatureUnion([("words", words), ("letters", letters)]))])


def _linear() -> LogisticRegression:
    return LogisticRegression(C=30, max_iter=300, random_state=SEED, class_weight="balanced")
