"""The Copilot's services, wired to each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine as Database

from app.copilot.engine import Engine
from app.security import ModelSigner
from app.services.copilot import CopilotService
from app.services.governance import Governance
from app.services.learning import Learning
from app.services.similar import SimilarService
from app.services.suggesting import Suggesting
from app.services.trained import TrainedModels
from app.services.training import Training
from app.services.triage import TriageService


@dataclass(frozen=True, slots=True)
class CopilotServices:
    """Everything around the engine."""

    door: CopilotService
    governance: Governance
    similar: SimilarService
    suggesting: Suggesting
    triage: TriageService
    models: TrainedModels
    training: Training
    learning: Learning


def assemble(
    database: Database,
    *,
    secret_key: str,
    starter: Callable[[], Engine],
    command: Sequence[str],
    now: Callable[[], datetime],
) -> CopilotServices:
    """`starter` makes the engine of the first day, `command` trains the desk's own."""
    models = TrainedModels(database, signer=ModelSigner(secret_key), starter=starter, now=now)
    door = CopilotService(models.load)
    governance = Governance(database, now)
    similar = SimilarService(database, now=now)
    suggesting = Suggesting(database, copilot=door, now=now)
    triage = TriageService(
        engine=database,
        copilot=door,
        suggesting=suggesting,
        governance=governance,
        similar=similar,
        now=now,
    )
    training = Training(database, models=models, governance=governance, now=now, command=command)
    learning = Learning(copilot=door, models=models, training=training, triage=triage)
    return CopilotServices(
        door, governance, similar, suggesting, triage, models, training, learning
    )
