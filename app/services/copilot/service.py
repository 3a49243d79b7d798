"""The Copilot as other services see it: triage for tickets."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.copilot.categories import CATEGORIES
from app.copilot.engine import TriageEngine
from app.copilot.secrets.redact import without_secrets
from app.copilot.types import (
    PRIORITY_OF,
    CategoryPrediction,
    Level,
    PriorityPrediction,
    TriageResult,
)
from app.models.triage import Field, Matrix, Prediction

log = logging.getLogger("app.copilot")
# Between two tries to load an engine.
PAUSE_SECONDS = 60.0
# Impact or urgency of which a text says nothing: the least.
UNSAID = 3


@dataclass(frozen=True, slots=True)
class Triage:
    """What the engine says of one text; nothing while it is not `ready`."""

    said: tuple[Prediction, ...]
    ready: bool = True


NOT_READY = Triage((), ready=False)


class CopilotService:
    """Loads the engine and asks it; a ticket is taken without triage too.

    In a server (`start`) the engine is loaded beside the requests, which do not wait for it: the
    worker triages later what came in before. A command waits.
    """

    def __init__(
        self, load: Callable[[], TriageEngine], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._monotonic = monotonic
        self._loading = threading.Lock()
        self._beside = False
        self._engine: TriageEngine | None = None
        self._again_at = 0.0

    def start(self) -> None:
        """Load in the background, and again after a while if that failed."""
        self._beside = True
        if self._engine is None and self._loading.acquire(blocking=False):
            threading.Thread(target=self._load_and_release, name="copilot", daemon=True).start()

    def triage(self, subject: str, description: str, *, matrix: Matrix = PRIORITY_OF) -> Triage:
        """Category and priority; nothing is predicted when the engine cannot be had."""
        engine = self._at_hand()
        if engine is None:
            return NOT_READY
        found = engine.triage(without_secrets(subject), without_secrets(description), matrix=matrix)
        return _triage(found)

    def triage_all(
        self, texts: Sequence[tuple[str, str]], *, matrix: Matrix = PRIORITY_OF
    ) -> list[Triage]:
        """As `triage` of each subject and description, without the words: many times faster."""
        engine = self._at_hand()
        if engine is None:
            return [NOT_READY] * len(texts)
        read = ["\n".join(map(without_secrets, parts)) for parts in texts]
        return [_triage(found) for found in engine.triage_all(read, matrix=matrix)]

    def shares(self, text: str) -> Mapping[str, float]:
        """How likely each category is; nothing when the engine cannot be had."""
        engine = self._at_hand()
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

    def _at_hand(self) -> TriageEngine | None:
        """The engine if it is loaded. A failed load is tried again a minute later."""
        if self._engine is None and self._monotonic() >= self._again_at:
            if self._beside:
                self.start()
            elif self._loading.acquire():
                self._load_and_release()
        return self._engine

    def _load_and_release(self) -> None:
        """Load while holding the lock: one thread at a time, once in each pause."""
        try:
            if self._engine is None and self._monotonic() >= self._again_at:
                self._again_at = self._monotonic() + PAUSE_SECONDS
                self._engine = self._load()
        except Exception:  # Tickets must still be taken without triage.
            log.exception("the triage engine could not be loaded")
        finally:
            self._loading.release()


def _triage(found: TriageResult) -> Triage:
    return Triage(said=(_category(found.category), _priority(found.priority)))


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
