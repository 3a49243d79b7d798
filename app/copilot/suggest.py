"""Next steps: the articles nearest to a ticket, each step with its source."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.feature_extraction.text import TfidfVectorizer

from app.copilot.text import cleaned
from app.copilot.values import Article, Step

# Under this likeness nothing is offered.
LEAST_SCORE = 0.12
# A second article is worth naming only when it is nearly as near as the first.
NEARLY = 0.75
STEPS = 6


@dataclass(frozen=True, slots=True)
class Match:
    """An article and its cosine with the text, 0 to 1."""

    article: Article
    score: float


class Articles:
    """The knowledge base, indexed once."""

    def __init__(self, articles: Sequence[Article]) -> None:
        self._articles = tuple(articles)
        self._by_slug = {article.slug: article for article in articles}
        self._words = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", stop_words="english"
        )
        self._rows = self._words.fit_transform([_indexed(article) for article in articles])

    def find(self, slug: str) -> Article | None:
        return self._by_slug.get(slug)

    def best(self, text: str, *, limit: int = 3) -> tuple[Match, ...]:
        """The nearest articles that are near enough, nearest first."""
        scores = (self._rows @ self._words.transform([cleaned(text)]).T).toarray().ravel()
        nearest = scores.argsort()[::-1][:limit]
        return tuple(
            Match(self._articles[i], float(scores[i])) for i in nearest if scores[i] >= LEAST_SCORE
        )

    def steps(self, text: str) -> tuple[Step, ...]:
        """Concrete next steps from the nearest articles; none when nothing is near."""
        matches = self.best(text, limit=2)
        near = [match for match in matches if match.score >= NEARLY * matches[0].score]
        share = STEPS if len(near) == 1 else STEPS // 2
        return tuple(
            Step(step, match.article.slug, match.article.title, match.article.audience)
            for match in near
            for step in match.article.steps[:share]
        )


def _indexed(article: Article) -> str:
    """What an article is found by; title and keywords weigh most."""
    keys = " ".join((article.title, *article.keywords))
    return "\n".join((keys, keys, keys, *article.symptoms, *article.steps))
