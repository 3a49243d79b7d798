"""Next steps: the articles nearest to a ticket, each step with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from app.copilot.features import spelled
from app.copilot.text import cleaned
from app.copilot.tokenizer import UNSPACED, spaced
from app.copilot.types import Article, Step

# Under this score nothing is offered.
LEAST_SCORE = 0.16
# Steps go into tickets and incidents unread: wrong ones are worse than none.
LEAST_FOR_STEPS = 0.2
# What an article keeps of its score when its category is out of the question.
OTHER_CATEGORY = 0.5
LETTERS = (3, 5)
# A letter alone is a word in Chinese and its like, and is none elsewhere.
WORD_OR_LETTER = rf"(?u)\b\w\w+\b|[{UNSPACED}]"
# A second article is worth naming only when it is nearly as near as the first.
NEARLY = 0.75
STEPS = 6
NOTHING_KNOWN: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Match:
    """An article and how well it fits: its cosine, less or more by its category, 0 to 1.5."""

    article: Article
    score: float


class Articles:
    """The knowledge base, indexed once."""

    def __init__(self, articles: Sequence[Article]) -> None:
        self._articles = tuple(articles)
        self._by_slug = {article.slug: article for article in articles}
        indexed = [_indexed(article) for article in articles]
        shared = {"sublinear_tf": True, "preprocessor": spelled}
        self._words = TfidfVectorizer(
            ngram_range=(1, 2), stop_words="english", token_pattern=WORD_OR_LETTER, **shared
        )
        self._letters = TfidfVectorizer(analyzer="char_wb", ngram_range=LETTERS, **shared)
        self._by_words = self._words.fit_transform(indexed)
        self._by_letters = self._letters.fit_transform(indexed)

    def find(self, slug: str) -> Article | None:
        return self._by_slug.get(slug)

    def best(
        self, text: str, *, shares: Mapping[str, float] = NOTHING_KNOWN, limit: int = 3
    ) -> tuple[Match, ...]:
        """The best articles that fit well enough, best first.

        `shares` says how likely each category is; letter groups find words in other forms.
        """
        asked = [spaced(cleaned(text))]
        words = self._by_words @ self._words.transform(asked).T
        letters = self._by_letters @ self._letters.transform(asked).T
        similarity = (words + letters).toarray().ravel() / 2
        known = [OTHER_CATEGORY + shares.get(one.category, 0.5) for one in self._articles]
        scores = similarity * np.array(known)
        return tuple(
            Match(self._articles[i], float(scores[i]))
            for i in scores.argsort()[::-1][:limit].tolist()
            if scores[i] >= LEAST_SCORE
        )

    def steps(self, text: str, *, shares: Mapping[str, float] = NOTHING_KNOWN) -> tuple[Step, ...]:
        """Concrete next steps from the best articles; none when nothing fits."""
        matches = self.best(text, shares=shares, limit=2)
        least = max(LEAST_FOR_STEPS, NEARLY * matches[0].score) if matches else 0.0
        near = [match for match in matches if match.score >= least]
        share = STEPS if len(near) == 1 else STEPS // 2
        return tuple(
            Step(step, match.article.slug, match.article.title, match.article.audience)
            for match in near
            for step in match.article.steps[:share]
        )


def _indexed(article: Article) -> str:
    """What an article is found by; title and keywords weigh most."""
    keys = " ".join((article.title, *article.keywords))
    return spaced("\n".join((keys, keys, keys, *article.symptoms, *article.steps)))
