"""What a text is to a linear model: TF-IDF of its words, word pairs and letter groups."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.feature_extraction.text import (
    CountVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
    strip_accents_unicode,
)

# Letter groups of single words: they see through typing errors and compound words.
LETTERS = (3, 4)
# A text without one known word is still read when this share of its letter groups is known.
FAMILIAR = 0.6
EDGES = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum()) + "«»„“”‚‘’…–¿¡"


# One word in two spellings; cut at the hyphen, half of it would mean nothing.
HYPHENED = {"wi-fi": "wifi", "e-mail": "email"}
HYPHENS = re.compile(rf"\b(?:{'|'.join(HYPHENED)})(?=s?\b)")


def spelled(text: str) -> str:
    """A text as its words are compared: small letters, no accents, one spelling."""
    joined = HYPHENS.sub(lambda found: HYPHENED[found[0]], text.lower())
    return str(strip_accents_unicode(joined))


class Features:
    """Fitted once, then only read. Rows are sparse: words first, letter groups after them."""

    def __init__(self, *, least_texts: int) -> None:
        """A word or letter group counts when at least `least_texts` texts have it."""
        # Doubles from the start: the linear model wants them, and would make one copy more.
        shared = {"preprocessor": spelled, "min_df": least_texts, "dtype": np.float64}
        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **shared)
        self._groups = CountVectorizer(analyzer="char_wb", ngram_range=LETTERS, **shared)
        self._letters = TfidfTransformer(sublinear_tf=True)

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the vocabulary; answers the rows. Raises ValueError for texts without words."""
        words = self._words.fit_transform(texts)
        groups = self._groups.fit_transform(texts)
        letters = self._letters.fit(groups).transform(groups, copy=False)
        return hstack([words, letters], format="csr")

    def rows(self, texts: Sequence[str]) -> Any:
        """One row a text; empty for a text of which nothing is known."""
        return self._rows(texts, self._groups.transform(texts))

    def rows_without(self, text: str, words: Sequence[str]) -> Any:
        """One row a word: `rows` of the text with that word left out, at a tenth of the cost.

        A letter group lies within one word, so what is left out is subtracted.
        """
        chunks = [(bare(chunk), chunk) for chunk in text.split()]
        gone = [" ".join(chunk for same, chunk in chunks if same == word) for word in words]
        left = [" ".join(chunk for same, chunk in chunks if same != word) for word in words]
        whole = vstack([self._groups.transform([text])] * len(words))
        return self._rows(left, csr_matrix(whole - self._groups.transform(gone)))

    def parts(self, words: Sequence[str]) -> Any:
        """One row a word: 1 for each feature that lies within it."""
        found = hstack([self._words.transform(words), self._groups.transform(words)], format="csr")
        found.data[:] = 1
        return found

    def _rows(self, texts: Sequence[str], groups: Any) -> Any:
        words = self._words.transform(texts)
        groups.eliminate_zeros()
        known = words.getnnz(axis=1) > 0
        for i in np.flatnonzero(~known).tolist():
            known[i] = self._familiar(texts[i], groups[i].nnz)
        letters = self._letters.transform(groups, copy=False).multiply(known[:, None])
        rows = hstack([words, letters], format="csr")
        rows.eliminate_zeros()
        return rows

    def _familiar(self, text: str, found: int) -> bool:
        if not any(letter.isalpha() for letter in text):
            return False
        return found / len(set(self._groups.build_analyzer()(text))) >= FAMILIAR


def bare(chunk: str) -> str:
    """A word of a text as words are compared: small, without quotes and full stops around it."""
    return chunk.strip(EDGES).lower()
