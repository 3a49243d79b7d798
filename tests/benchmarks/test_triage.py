"""How right and how fast triage is on a file of real tickets, or on the sample that is shipped.

TICKETS_CSV names a file with the columns Document and Topic_group (33,703 tickets of Endava, MIT,
github.com/karolzak/support-tickets-classification); the bars are those of that file.
"""

import csv
import os
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from app.copilot.classifier import CategoryModel, train
from app.copilot.evaluation.export import read_export
from app.copilot.evaluation.measure import evaluate
from app.copilot.knowledge import starter_categories, starter_priorities
from app.copilot.metrics import quality
from app.copilot.priority import train_priority

pytestmark = pytest.mark.benchmark
SAMPLE = Path(__file__).resolve().parents[2] / "app" / "demo" / "tickets.csv"


@pytest.fixture(scope="module")
def starter() -> CategoryModel:
    return train((), starter_categories())


def test_a_file_of_real_tickets(capsys: pytest.CaptureFixture[str]) -> None:
    named = os.environ.get("TICKETS_CSV")
    if not named:
        pytest.skip("TICKETS_CSV names no file")
    export = read_export(Path(named), text=["Document"], label="Topic_group")
    found = evaluate(export, learning_curve=True, say=print)
    with capsys.disabled():
        print(f"\n{found}")
    assert found.quality.accuracy >= 0.855
    assert found.quality.macro_f1 >= 0.855
    assert found.quality.top3 >= 0.98
    assert found.quality.calibration_error <= 0.03
    assert found.quality.coverage_90 >= 0.88
    with_500 = next(one for one in found.curve if one.trained_on == 500)
    assert with_500.draws == 5
    assert with_500.accuracy >= 0.72


def test_the_starter_model_on_the_demo_tickets(
    starter: CategoryModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tickets that others wrote, for another purpose, with no thought of the starter examples."""
    with SAMPLE.open(encoding="utf-8", newline="") as lines:
        tickets = list(csv.DictReader(lines))
    texts = [f"{one['subject']}\n{one['description']}" for one in tickets]
    truth = np.array([one["category"] for one in tickets])
    found = quality(truth, starter.shares(texts), np.array(starter.classes))
    spans = []
    for text in texts:
        started = time.perf_counter()
        starter.predict(text)
        spans.append(1000 * (time.perf_counter() - started))
    sure = [one.value for one in starter.likeliest(texts)]
    right = sum(value == label for value, label in zip(sure, truth.tolist(), strict=True))
    with capsys.disabled():
        print(f"\n{found}")
        print(f"{right} right, {sum(map(bool, sure)) - right} wrong of {len(texts)}")
        print(f"explained in {statistics.median(spans):.1f} ms (median)")
    assert found.accuracy >= 0.85


def test_the_starter_models_know_every_category(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    model = train((), starter_categories())
    train_priority((), starter_priorities())
    with capsys.disabled():
        print(f"\nstarter models trained in {time.perf_counter() - started:.1f} s")
    assert len(model.classes) == 6
