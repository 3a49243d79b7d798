"""What a text is to a linear model: TF-IDF of its words, word pairs and letter groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

# Letter groups of single words: they see through typing errors and compound words.
LETTERS = (3, 4)
# A text without one known word is still read when this share of its letter groups is known.
FAMILIAR = 0.6
SHARED = {"sublinear_tf": True, "strip_accents": "unicode", "dtype": np.float32}


class Features:
    """Fitted once, then only read. Rows are sparse: words first, letter groups after them."""

    def __init__(self, *, least_texts: int) -> None:
        """A word or letter group counts when at least `least_texts` texts have it."""
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=least_texts, **SHARED)
        self._letters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=LETTERS, min_df=least_texts, **SHARED
        )

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the vocabulary; answers the rows. Raises ValueError for texts without words."""
        words = self._words.fit_transform(texts)
        return hstack([words, self._letters.fit_transform(texts)], format="csr")

    def rows(self, texts: Sequence[str]) -> Any:
        """One row a text; empty for a text of which nothing is known."""
        words = self._words.transform(texts)
        letters = self._letters.transform(texts)
        known = words.getnnz(axis=1) > 0
        for i in np.flatnonzero(~known).tolist():
            known[i] = self._familiar(texts[i], letters[i].nnz)
        rows = hstack([words, letters.multiply(known[:, None])], format="csr")
        rows.eliminate_zeros()
        return rows

    def parts(self, words: Sequence[str]) -> Any:
        """One row a word: 1 for each feature that lies within it."""
        found = hstack([self._words.transform(words), self._letters.transform(words)], format="csr")
        found.data[:] = 1
        return found

    def _familiar(self, text: str, found: int) -> bool:
        if not any(letter.isalpha() for letter in text):
            return False
        return found / len(set(self._letters.build_analyzer()(text))) >= FAMILIAR
