"""What goes into a training process and what comes out, without the weight of scikit-learn."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from app.copilot.types import LabelledPriority, LabelledText

FIGURES = "figures.json"


def write_task(
    path: Path, own: Iterable[LabelledText], overrides: Iterable[LabelledPriority]
) -> None:
    """What shall be learned from, a line each, so that nobody holds all texts at once."""
    with path.open("w", encoding="ascii") as lines:
        for values in chain(map(asdict, own), map(asdict, overrides)):
            lines.write(json.dumps(values) + "\n")


def read_task(path: Path) -> tuple[list[LabelledText], list[LabelledPriority]]:
    """What `write_task` wrote."""
    own: list[LabelledText] = []
    overrides: list[LabelledPriority] = []
    with path.open(encoding="ascii") as lines:
        for line in lines:
            values = json.loads(line)
            if "label" in values:
                own.append(LabelledText(**values))
            else:
                overrides.append(LabelledPriority(**values))
    return own, overrides


def figures_of(models: bytes) -> dict[str, Any]:
    """The figures that lie beside stored models, without reading those."""
    with zipfile.ZipFile(io.BytesIO(models)) as parts:
        found: dict[str, Any] = json.loads(parts.read(FIGURES))
    return found
