"""The training process of the tests: the real one, with fewer starter examples.

`python -m tests.tiny_training TASK RESULT`
"""

import sys
from pathlib import Path

from app.copilot.knowledge import starter_categories, starter_priorities
from app.copilot.training import learn

EVERY = 12


def tiny_training(task: Path, result: Path) -> None:
    learn(
        task,
        result,
        categories=starter_categories()[::EVERY],
        priorities=starter_priorities()[::EVERY],
    )


if __name__ == "__main__":
    tiny_training(Path(sys.argv[1]), Path(sys.argv[2]))
