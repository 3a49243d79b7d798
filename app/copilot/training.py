"""Training in a process of its own: `python -m app.copilot.training TASK RESULT`.

It takes seconds and hundreds of megabytes, so it runs neither in a request nor beside one. The
child knows no database and no secret: texts with labels come in by a file, models go out by one.
"""

import io
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.copilot.classifier import CategoryModel, train
from app.copilot.knowledge import starter_categories, starter_priorities
from app.copilot.priority import PriorityModel, train_priority
from app.copilot.training_task import FIGURES, read_task
from app.copilot.types import LabelledPriority, LabelledText

NICENESS = 10
CATEGORY, PRIORITY = "category.model", "priority.model"


@dataclass(frozen=True, slots=True)
class Models:
    """What triage predicts with."""

    category: CategoryModel
    priority: PriorityModel

    @property
    def figures(self) -> dict[str, Any]:
        """What they rest on and how right they were on what was held back, ready for JSON."""
        rests_on = self.category.figures.rests_on
        return {
            "category": {**asdict(self.category.figures), "rests_on": rests_on},
            "priority": asdict(self.priority.figures),
        }

    def to_bytes(self) -> bytes:
        """For keeping. Sign it: reading bytes that somebody else wrote would run their code."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr(FIGURES, json.dumps(self.figures, default=float))
            parts.writestr(CATEGORY, self.category.to_bytes())
            parts.writestr(PRIORITY, self.priority.to_bytes())
        return archive.getvalue()

    @staticmethod
    def from_bytes(stored: bytes) -> "Models":
        """What `to_bytes` wrote; check its signature first.

        Raises ValueError for what another version wrote.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(stored)) as parts:
                category, priority = parts.read(CATEGORY), parts.read(PRIORITY)
        except (zipfile.BadZipFile, KeyError) as exc:
            raise ValueError("The stored bytes are not models.") from exc
        return Models(CategoryModel.from_bytes(category), PriorityModel.from_bytes(priority))


def learn(
    task: Path,
    result: Path,
    *,
    categories: Sequence[LabelledText],
    priorities: Sequence[LabelledPriority],
) -> None:
    """Learn from `task` blended with starter examples, leave the models at `result`."""
    own, overrides = read_task(task)
    models = Models(train(own, categories), train_priority(overrides, priorities))
    result.write_bytes(models.to_bytes())


if __name__ == "__main__":
    os.nice(NICENESS)
    learn(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        categories=starter_categories(),
        priorities=starter_priorities(),
    )
