"""Training on this desk's labels: one at a time, in a niced process that can crash alone."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine

from app.copilot.categories import CATEGORIES
from app.copilot.secrets.redact import without_secrets
from app.copilot.training_task import figures_of, write_task
from app.copilot.types import LabelledPriority, LabelledText
from app.db import corrections, labels, trained_models
from app.db.engine import reading, writing
from app.errors import Conflict, DatabaseAway
from app.models.accounts import User
from app.models.triage import ModelState, TrainedModel
from app.services.copilot.model_registry import ModelRegistry
from app.services.copilot.settings import CopilotSettings

log = logging.getLogger("app.copilot")
COMMAND = (sys.executable, "-m", "app.copilot.training")
ROOT = Path(__file__).resolve().parents[3]
# So many new labels since the last training are worth another, but not sooner than this.
NEW_LABELS = 20
PAUSE = timedelta(minutes=10)
LONGEST = timedelta(minutes=15)
LOOK_SECONDS = 0.2
# What a child process needs of our environment; no secret is among it.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")
GONE = "Training stopped early. It restarts automatically."


class Training:
    """Asked for by an admin or by enough new labels; done by the worker of one process."""

    def __init__(
        self,
        engine: Engine,
        *,
        models: ModelRegistry,
        copilot_settings: CopilotSettings,
        now: Callable[[], datetime],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._engine = engine
        self._models = models
        self._copilot_settings = copilot_settings
        self._now = now
        self._command = tuple(command)

    def ask(self, *, by: User) -> None:
        """Train soon. Raises Conflict while a training is asked for or runs."""
        with writing(self._engine) as conn:
            if not trained_models.ask(conn, by=by.email, now=self._now()):
                raise Conflict("Training is already in progress.")

    def recover(self) -> None:
        """After a restart of the only process: nobody is training, whatever the rows say."""
        with writing(self._engine) as conn:
            now = self._now()
            trained_models.release_stale(conn, lease_before=now + 3 * LONGEST, now=now, error=GONE)

    def run_due(self, *, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Train if it is due and no other process does; whether this process did."""
        now = self._now()
        with writing(self._engine) as conn:
            trained_models.release_stale(conn, lease_before=now, now=now, error=GONE)
            if self._worth_it(conn, now):
                trained_models.ask(conn, by=None, now=now)
            wanted = trained_models.claim(conn, lease_until=now + 2 * LONGEST)
        if wanted is None:
            return False
        try:
            self._train(wanted, stopping)
        except DatabaseAway:  # Its lease ends by itself.
            raise
        except Exception:  # A training that fails harms nothing: the model in use stays.
            log.exception("training %s broke", wanted.id)
            self._fail(wanted, "An unexpected error stopped the training. See the log.")
        return True

    def _worth_it(self, conn: Connection, now: datetime) -> bool:
        tried = trained_models.latest(conn, limit=1)
        if tried and (tried[0].state.busy or now - tried[0].asked_at < PAUSE):
            return False
        done = trained_models.last_done(conn)
        if corrections.count_since(conn, done.asked_at if done else None) >= NEW_LABELS:
            return True
        return labels.count(conn, CATEGORIES) - (done.own if done else 0) >= NEW_LABELS

    def _train(self, wanted: TrainedModel, stopping: Callable[[], bool]) -> None:
        with tempfile.TemporaryDirectory(prefix="desk-training-") as folder:
            task, result = Path(folder, "task"), Path(folder, "result")
            with reading(self._engine) as conn:
                write_task(task, self._own(conn), self._overrides(conn))
                own = labels.count(conn, CATEGORIES)
            told = self._child(task, result, stopping)
            if stopping():
                with writing(self._engine) as conn:
                    trained_models.settle(conn, wanted.id, ModelState.QUEUED)
            elif told or not result.exists():
                self._fail(wanted, told or "Training produced no model.")
            else:
                content = result.read_bytes()
                self._models.keep(wanted.id, content, figures=figures_of(content), own=own)

    def _child(self, task: Path, result: Path, stopping: Callable[[], bool]) -> str:
        """Run the child to its end; what went wrong as a sentence, else empty."""
        complaints = task.with_name("complaints")
        with complaints.open("wb") as errors:
            child = subprocess.Popen(
                [*self._command, str(task), str(result)],
                cwd=ROOT,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            late = time.monotonic() + LONGEST.total_seconds()
            while child.poll() is None and not stopping() and time.monotonic() < late:
                time.sleep(LOOK_SECONDS)
            if child.poll() is None:
                child.kill()
                child.wait()
                minutes = LONGEST.total_seconds() / 60
                return f"Training took longer than {minutes:.0f} minutes and was stopped."
        if child.returncode == 0:
            return ""
        log.error("training ended with %s", child.returncode, extra={"fields": _kind(complaints)})
        return f"Training failed with exit status {child.returncode}. See the log."

    def _own(self, conn: Connection) -> Iterator[LabelledText]:
        for text, label in labels.categories(conn, CATEGORIES):
            yield LabelledText(without_secrets(text), label)

    def _overrides(self, conn: Connection) -> Iterator[LabelledPriority]:
        matrix = self._copilot_settings.rules(conn).matrix
        for text, priority, meant, guessed in labels.priorities(conn):
            pairs = [pair for pair, value in matrix.items() if value == priority]
            pair = meant or _nearest(pairs, guessed)
            if pair:
                yield LabelledPriority(without_secrets(text), *pair)

    def _fail(self, wanted: TrainedModel, error: str) -> None:
        with writing(self._engine) as conn:
            trained_models.settle(
                conn, wanted.id, ModelState.FAILED, error=error, finished_at=self._now()
            )


def _nearest(
    pairs: Sequence[tuple[int, int]], guessed: tuple[int, int] | None
) -> tuple[int, int] | None:
    """What somebody meant who set only the priority: the pair nearest to what was estimated."""
    if not pairs or guessed is None:
        return None
    impact, urgency = guessed
    return min(pairs, key=lambda pair: (abs(pair[0] - impact) + abs(pair[1] - urgency), pair))


def _kind(complaints: Path) -> dict[str, str]:
    lines = complaints.read_text(encoding="utf-8", errors="replace").splitlines()
    # The kind of error alone: its message may quote a ticket.
    return {"error": lines[-1].split(":")[0][:80] if lines else ""}
