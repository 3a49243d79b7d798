"""Triage of one text: category, priority, next steps."""

from typing import TYPE_CHECKING

from app.copilot.values import PRIORITY_OF, Article, TriageResult
from app.models import Matrix

if TYPE_CHECKING:
    from app.copilot.classifier import CategoryModel
    from app.copilot.priority import PriorityModel
    from app.copilot.suggest import Articles, Match


class Engine:
    """Made once, then only read: safe to share between threads."""

    def __init__(
        self, *, category: "CategoryModel", priority: "PriorityModel", articles: "Articles"
    ) -> None:
        self._category = category
        self._priority = priority
        self._articles = articles

    @classmethod
    def from_starter(cls) -> "Engine":
        """Train on the starter examples and index the starter articles; takes seconds."""
        # scikit-learn takes a second to import: beside the start, not before it.
        from app.copilot.classifier import train
        from app.copilot.knowledge import load_articles, starter_categories, starter_priorities
        from app.copilot.priority import train_priority
        from app.copilot.suggest import Articles

        return cls(
            category=train((), starter_categories()),
            priority=train_priority((), starter_priorities()),
            articles=Articles(load_articles()),
        )

    @classmethod
    def from_bytes(cls, models: bytes) -> "Engine":
        """With models that a training process left; check their signature first.

        Raises ValueError for what another version wrote.
        """
        from app.copilot.knowledge import load_articles
        from app.copilot.suggest import Articles
        from app.copilot.training import Models

        found = Models.from_bytes(models)
        return cls(
            category=found.category,
            priority=found.priority,
            articles=Articles(load_articles()),
        )

    @property
    def rests_on(self) -> str:
        """What the category was learned from, in words."""
        return self._category.figures.rests_on

    def triage(
        self, subject: str, description: str, *, matrix: Matrix = PRIORITY_OF
    ) -> TriageResult:
        """Everything that can be said of a ticket's text."""
        text = f"{subject}\n{description}"
        return TriageResult(
            category=self._category.predict(text),
            priority=self._priority.predict(text, matrix),
            suggestions=self._articles.steps(text, shares=self._category.share_of_each(text)),
        )

    def nearest(self, text: str) -> "tuple[Match, ...]":
        """The articles that answer a text best, three at most."""
        return self._articles.best(text, shares=self._category.share_of_each(text))

    def article(self, slug: str) -> Article | None:
        return self._articles.find(slug)
