"""The door of the Copilot: triage for tickets."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.copilot.categories import CATEGORIES
from app.copilot.engine import Engine
from app.copilot.redact import without_secrets
from app.copilot.values import PRIORITY_OF, CategoryPrediction, Level, PriorityPrediction
from app.models import Field, Matrix, Prediction

log = logging.getLogger("app.copilot")
PATIENCE_SECONDS = 10.0
# Impact or urgency of which a text says nothing: the least.
UNSAID = 3


@dataclass(frozen=True, slots=True)
class Triage:
    """What the engine says of one text; nothing while it is not `ready`."""

    said: tuple[Prediction, ...]
    ready: bool = True


NOT_READY = Triage((), ready=False)


class CopilotService:
    """Loads the engine beside the start and asks it; a ticket never fails for want of triage."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._loading = threading.Lock()
        self._ready = threading.Event()
        self._engine: Engine | None = None

    def start(self) -> None:
        """Load in the background, so that the first page need not wait."""
        threading.Thread(target=self._load_once, name="copilot", daemon=True).start()

    def triage(self, subject: str, description: str, *, matrix: Matrix = PRIORITY_OF) -> Triage:
        """Category and priority; nothing is predicted when the engine cannot be had."""
        engine = self._patiently()
        if engine is None:
            return NOT_READY
        found = engine.triage(without_secrets(subject), without_secrets(description), matrix=matrix)
        return Triage(said=(_category(found.category), _priority(found.priority)))

    def shares(self, text: str) -> Mapping[str, float]:
        """How likely each category is; nothing when the engine cannot be had."""
        engine = self._patiently()
        return engine.shares(without_secrets(text)) if engine else {}

    def categories(self) -> tuple[str, ...]:
        return CATEGORIES

    def rests_on(self) -> str:
        """What the model in use was trained on, in words; empty while it is not loaded."""
        return self._engine.rests_on if self._engine else ""

    def reload(self) -> None:
        """Load anew and swap in whole; whoever asks meanwhile is answered by the old engine."""
        with self._loading:
            try:
                self._engine = self._load()
            except Exception:  # The old engine goes on.
                log.exception("the new triage model could not be loaded")

    def _patiently(self) -> Engine | None:
        if self._engine is None:
            self.start()
            self._ready.wait(PATIENCE_SECONDS)
        return self._engine

    def _load_once(self) -> None:
        with self._loading:
            if self._engine is not None:
                return
            try:
                self._engine = self._load()
            except Exception:  # Tickets must still be taken without triage.
                log.exception("the triage engine could not be loaded")
            finally:
                self._ready.set()


def _category(found: CategoryPrediction) -> Prediction:
    return Prediction(
        field=Field.CATEGORY,
        value=found.likeliest or None,
        sure=found.value is not None,
        confidence=found.confidence,
        model=found.model,
        runner_up=found.runner_up or None,
        words_for=found.words_for,
        words_against=found.words_against,
    )


def _priority(found: PriorityPrediction) -> Prediction:
    return Prediction(
        field=Field.PRIORITY,
        value=found.value,
        sure=found.value is not None,
        confidence=found.confidence,
        model=found.model,
        words_for=tuple(dict.fromkeys((*found.impact.words, *found.urgency.words))),
        impact=_level(found, found.impact),
        urgency=_level(found, found.urgency),
    )


def _level(found: PriorityPrediction, level: Level) -> int | None:
    return (level.value or UNSAID) if found.value else None
