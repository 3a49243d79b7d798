"""Triage of one text: category and priority."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.copilot.types import PRIORITY_OF, TriageResult
from app.models.triage import Matrix

if TYPE_CHECKING:
    from app.copilot.classifier import CategoryModel
    from app.copilot.priority import PriorityModel


class TriageEngine:
    """Made once, then only read: safe to share between threads."""

    def __init__(self, *, category: "CategoryModel", priority: "PriorityModel") -> None:
        self._category = category
        self._priority = priority

    @classmethod
    def from_starter(cls) -> "TriageEngine":
        """Train on the starter examples; takes seconds."""
        # scikit-learn takes a second to import: beside the start, not before it.
        from app.copilot.classifier import train
        from app.copilot.knowledge import starter_categories, starter_priorities
        from app.copilot.priority import train_priority

        return cls(
            category=train((), starter_categories()),
            priority=train_priority((), starter_priorities()),
        )

    @classmethod
    def from_bytes(cls, models: bytes) -> "TriageEngine":
        """With models that a training process left; check their signature first.

        Raises ValueError for what another version wrote.
        """
        from app.copilot.training import Models

        found = Models.from_bytes(models)
        return cls(category=found.category, priority=found.priority)

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
        )

    def triage_all(
        self, texts: Sequence[str], *, matrix: Matrix = PRIORITY_OF
    ) -> list[TriageResult]:
        """As `triage` of each text, a subject above its description, without the words."""
        categories = self._category.likeliest(texts)
        priorities = self._priority.likeliest(texts, matrix)
        return [TriageResult(*both) for both in zip(categories, priorities, strict=True)]

    def shares(self, text: str) -> Mapping[str, float]:
        """How likely each category is."""
        return self._category.share_of_each(text)
