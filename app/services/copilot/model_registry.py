"""The desk's own models as they are kept: signed, checked before they are read, rolled back."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from app.copilot.engine import TriageEngine
from app.db import copilot_settings, trained_models
from app.db.engine import reading, writing
from app.errors import Conflict
from app.models.accounts import User
from app.models.triage import ModelState, TrainedModel
from app.security import ModelSigner

log = logging.getLogger("app.copilot")
ACTIVE = "model"
STARTER = 0
SHOWN = 12
REFUSED = (
    "The stored model does not carry this installation's signature and was refused: the starter "
    "model is used. SECRET_KEY may have changed; train again."
)
UNREADABLE = "The stored model is from another app version. Train the model again."


@dataclass(frozen=True, slots=True)
class ModelsView:
    """For admins: the models there are, the one in use and whether one is being made."""

    models: tuple[TrainedModel, ...]
    active: int

    @property
    def in_use(self) -> TrainedModel | None:
        return next(
            (m for m in self.models if m.id == self.active and m.state is ModelState.DONE), None
        )

    @property
    def busy(self) -> bool:
        return any(model.state.busy for model in self.models)


class ModelRegistry:
    """Which model this process predicts with; all processes follow one setting."""

    def __init__(
        self,
        database: Engine,
        *,
        signer: ModelSigner,
        starter: Callable[[], TriageEngine],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._signer = signer
        self._starter = starter
        self._now = now
        self._loaded: int | None = None

    def load(self) -> TriageEngine:
        """The model in use if its signature is ours, else the starter. Takes seconds."""
        with reading(self._database) as conn:
            active = self.active(conn)
            kept = trained_models.get_content(conn, active) if active else None
        self._loaded = active
        found = self._checked(active, *kept) if kept else None
        return found or self._starter()

    def changed(self) -> bool:
        """Whether another model was chosen since this process loaded its own."""
        with reading(self._database) as conn:
            return self._loaded is not None and self.active(conn) != self._loaded

    def active(self, conn: Connection) -> int:
        """The id of the model that was chosen last; 0 is the starter."""
        chosen = copilot_settings.latest(conn).get(ACTIVE)
        return int(chosen.value) if chosen else STARTER

    def keep(self, model_id: int, content: bytes, *, figures: Mapping[str, Any], own: int) -> None:
        """Store a new model, signed, and choose it."""
        now = self._now()
        with writing(self._database) as conn:
            trained_models.settle(
                conn,
                model_id,
                ModelState.DONE,
                content=content,
                signature=self._signer.signature(content),
                figures=figures,
                own=own,
                version=figures["category"]["version"],
                data_hash=figures["category"]["data_hash"],
                finished_at=now,
                error=None,
            )
            copilot_settings.add(conn, ACTIVE, model_id, by="Smart IT Copilot", now=now)
            trained_models.prune(conn, active=model_id)

    def choose(self, model_id: int, *, by: User) -> None:
        """Go back to an earlier model, or with 0 to the starter. Raises Conflict."""
        with writing(self._database) as conn:
            found = trained_models.find(conn, model_id) if model_id else None
            if model_id and (found is None or found.state is not ModelState.DONE):
                raise Conflict(
                    "This model is no longer stored.", hint="Choose a model from the list."
                )
            if self.active(conn) != model_id:
                copilot_settings.add(conn, ACTIVE, model_id, by=by.email, now=self._now())

    def view(self) -> ModelsView:
        """For the page of admins."""
        with reading(self._database) as conn:
            return ModelsView(trained_models.latest(conn, limit=SHOWN), self.active(conn))

    def _checked(self, model_id: int, content: bytes, signature: str) -> TriageEngine | None:
        if not self._signer.made_here(content, signature):
            self._refuse(model_id, REFUSED)
            return None
        try:
            return TriageEngine.from_bytes(content)
        except ValueError:
            self._refuse(model_id, UNREADABLE)
            return None

    def _refuse(self, model_id: int, why: str) -> None:
        log.error("model %s refused", model_id, extra={"fields": {"why": why}})
        with writing(self._database) as conn:
            trained_models.settle(conn, model_id, ModelState.REFUSED, error=why)
