"""Triage of one text: category, priority, next steps."""

from typing import TYPE_CHECKING

from app.copilot.values import Article, TriageResult

if TYPE_CHECKING:
    from app.copilot.classifier import Classifier
    from app.copilot.suggest import Articles


class Engine:
    """Made once, then only read: safe to share between threads."""

    def __init__(self, classifier: "Classifier", articles: "Articles") -> None:
        self._classifier = classifier
        self._articles = articles

    @classmethod
    def from_starter(cls) -> "Engine":
        """Train on the starter examples and index the starter articles; takes seconds."""
        # scikit-learn takes a second to import: beside the start, not before it.
        from app.copilot.classifier import Classifier
        from app.copilot.knowledge import load_articles, load_examples
        from app.copilot.suggest import Articles

        return cls(Classifier(load_examples()), Articles(load_articles()))

    def triage(self, subject: str, description: str) -> TriageResult:
        """Everything that can be said of a ticket's text."""
        text = f"{subject}\n{description}"
        return TriageResult(
            category=self._classifier.category(text),
            priority=self._classifier.priority(text),
            suggestions=self._articles.steps(text),
        )

    def article(self, slug: str) -> Article | None:
        return self._articles.find(slug)
