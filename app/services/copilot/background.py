"""What the worker does for the Copilot: follow the chosen model, triage behind, train."""

from collections.abc import Callable

from app.services.copilot.model_registry import ModelRegistry
from app.services.copilot.service import CopilotService
from app.services.copilot.training import Training
from app.services.copilot.triage import TriageService

Stopping = Callable[[], bool]


class CopilotJobs:
    """Looks at what is due; never in a request."""

    def __init__(
        self,
        *,
        copilot: CopilotService,
        models: ModelRegistry,
        training: Training,
        triage: TriageService,
    ) -> None:
        self._copilot = copilot
        self._models = models
        self._training = training
        self._triage = triage

    def keep_up(
        self,
        *,
        stopping: Stopping = lambda: False,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        """Use the model that was chosen, here or by another process; triage what came in.

        Reasons and steps of what was triaged in batches come behind everything else. `pause` is
        called before each batch, and before the reasons of each ticket.
        """
        if self._models.changed():
            self._copilot.reload()
        while not stopping() and (
            self._triage.catch_up(pause=pause) or self._triage.complete_next(pause=pause)
        ):
            pass

    def train(self, *, stopping: Stopping = lambda: False) -> bool:
        """Train if it is due, for minutes; whether this process did."""
        return self._training.run_due(stopping=stopping)
