"""Training beside the desk: one at a time, signed, swapped in whole, rolled back."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.copilot.engine import TriageEngine
from app.copilot.training_task import read_task, write_task
from app.db import tables, trained_models
from app.db.engine import reading, writing
from app.main import create_app
from app.models.triage import ModelState
from app.settings import Settings
from tests.conftest import HTMX, PASSWORD, SAME_ORIGIN, Clock, signed_in
from tests.desk import Desk
from tests.html import find, soup
from tests.test_predictions import opened
from tests.tiny_training import tiny_training

TINY = (sys.executable, "-m", "tests.tiny_training")
CRASHES = (sys.executable, "-c", "raise SystemExit(3)")
SILENT = (sys.executable, "-c", "pass")
OWN = (
    ("The coffee machine robot beeps", "hardware"),
    ("Coffee robot blinks red", "hardware"),
    ("The espresso robot is stuck", "hardware"),
    ("Licence key of the drawing program", "software"),
)


def desk_app(
    settings: Settings, clock: Clock, triage: TriageEngine, command: Sequence[str]
) -> FastAPI:
    return create_app(settings, load_triage=lambda: triage, training=command, now=clock)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """A training process that leaves a model learned before: what becomes of it is the point."""
    folder = tmp_path_factory.mktemp("learned")
    write_task(folder / "task", (), ())
    tiny_training(folder / "task", folder / "model")
    leave = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[3])"
    return (sys.executable, "-c", leave, str(folder / "model"))


@pytest.fixture
def training_app(
    settings: Settings, clock: Clock, triage: TriageEngine, learned: Sequence[str]
) -> Iterator[FastAPI]:
    made = desk_app(settings, clock, triage, learned)
    yield made
    made.state.engine.dispose()


@pytest.fixture
def boss(training_app: FastAPI) -> TestClient:
    return signed_in(training_app, "admin")


def trained(app: FastAPI, admin: TestClient) -> None:
    """Press the button, and let the worker look."""
    assert admin.post("/admin/copilot/train").status_code == 303
    assert app.state.services.background.train()
    app.state.services.background.keep_up()


def model_of(client: TestClient) -> str:
    return str(client.get(f"/api{opened(client)}").json()["predictions"][0]["model"])


def states(engine: Engine) -> list[ModelState]:
    with reading(engine) as conn:
        return [model.state for model in trained_models.latest(conn, limit=9)]


@pytest.mark.slow
def test_a_training_learns_from_the_desk_and_is_used_at_once(
    settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine
) -> None:
    app = desk_app(settings, clock, triage, TINY)
    boss = signed_in(app, "admin")
    desk = Desk(app)
    for text, category in OWN:
        desk.ticket(text, "", category=category)
    before = model_of(boss)
    trained(app, boss)
    card = soup(boss.get("/admin/copilot").text).select_one("#model")
    assert card is not None
    assert "4 of your tickets" in card.get_text()
    assert "In use" in find(card, "tbody tr").get_text()
    assert model_of(boss).startswith("blend-")
    assert model_of(boss) != before
    with reading(engine) as conn:
        kept = trained_models.last_done(conn)
    assert kept is not None
    assert kept.own == 4
    assert kept.data_hash
    assert kept.figures["category"]["own"] == 4
    assert "4 of your tickets" in boss.get("/copilot/accuracy").text
    app.state.engine.dispose()


def test_an_admin_goes_back_to_an_earlier_model(
    training_app: FastAPI, boss: TestClient, triage: TriageEngine
) -> None:
    before = model_of(boss)
    trained(training_app, boss)
    assert model_of(boss) != before
    assert boss.post("/admin/copilot/models/0/use").status_code == 303
    training_app.state.services.background.keep_up()
    assert model_of(boss) == before
    assert "Model set to the starter model" in boss.get("/admin/copilot").text
    assert boss.post("/admin/copilot/models/999/use").status_code == 409


def test_another_process_follows_the_chosen_model(
    training_app: FastAPI, boss: TestClient, settings: Settings, clock: Clock, triage: TriageEngine
) -> None:
    other = desk_app(settings, clock, triage, SILENT)
    there = signed_in(other, "agent")
    before = model_of(there)
    trained(training_app, boss)
    other.state.services.background.keep_up()
    assert model_of(there) == model_of(boss) != before
    other.state.engine.dispose()


def test_a_stored_model_with_another_signature_is_refused_and_said_so(
    training_app: FastAPI,
    boss: TestClient,
    engine: Engine,
    settings: Settings,
    clock: Clock,
    triage: TriageEngine,
) -> None:
    trained(training_app, boss)
    with writing(engine) as conn:
        content, _ = trained_models.get_content(conn, 1) or (b"", "")
        conn.execute(update(tables.trained_models).values(content=content + b"x"))
    restarted = desk_app(settings, clock, triage, SILENT)
    again = TestClient(restarted, headers=SAME_ORIGIN, follow_redirects=False)
    again.post("/login", data={"email": "admin@example.com", "password": PASSWORD})
    assert model_of(again).startswith("starter-")
    page = again.get("/admin/copilot").text
    assert "was refused: the starter model is used" in page
    assert "In use: starter model" in page
    restarted.state.engine.dispose()


@pytest.mark.parametrize(
    ("command", "said"),
    [(CRASHES, "failed with exit status 3"), (SILENT, "produced no model")],
)
def test_a_training_that_crashes_harms_nothing(
    settings: Settings,
    clock: Clock,
    triage: TriageEngine,
    engine: Engine,
    command: Sequence[str],
    said: str,
) -> None:
    app = desk_app(settings, clock, triage, command)
    admin = signed_in(app, "admin")
    trained(app, admin)
    assert said in admin.get("/admin/copilot").text
    assert states(engine) == [ModelState.FAILED]
    assert model_of(admin).startswith("starter-")
    assert admin.post("/admin/copilot/train").status_code == 303
    app.state.engine.dispose()


def test_one_training_at_a_time(
    training_app: FastAPI, boss: TestClient, engine: Engine, clock: Clock
) -> None:
    assert boss.post("/admin/copilot/train").status_code == 303
    assert boss.post("/admin/copilot/train").status_code == 409
    card = soup(boss.get("/admin/copilot/model", headers=HTMX).text).select_one("#model")
    assert card is not None
    assert card["hx-trigger"] == "every 2s"
    with writing(engine) as conn:
        assert trained_models.claim(conn, lease_until=clock.moment) is not None
        assert trained_models.claim(conn, lease_until=clock.moment) is None


def test_a_training_whose_process_is_gone_is_given_up(
    training_app: FastAPI, boss: TestClient, engine: Engine, clock: Clock
) -> None:
    boss.post("/admin/copilot/train")
    with writing(engine) as conn:
        trained_models.claim(conn, lease_until=clock.moment)
    training_app.state.services.training.recover()
    assert states(engine) == [ModelState.FAILED]
    assert "Training stopped early" in boss.get("/admin/copilot").text


def test_stopping_the_app_leaves_the_training_for_the_next_start(
    settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine
) -> None:
    app = desk_app(settings, clock, triage, (sys.executable, "-c", "input()"))
    admin = signed_in(app, "admin")
    admin.post("/admin/copilot/train")
    assert app.state.services.background.train(stopping=lambda: True)
    assert states(engine) == [ModelState.QUEUED]
    app.state.engine.dispose()


@pytest.mark.slow
def test_enough_new_labels_start_a_training_by_themselves(
    settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine
) -> None:
    app = desk_app(settings, clock, triage, SILENT)
    desk = Desk(app)
    for number in range(19):
        desk.ticket(f"Trouble {number}", category="access")
    assert not app.state.services.background.train()
    desk.ticket("Trouble 19", category="access")
    assert app.state.services.background.train()
    assert not app.state.services.background.train()
    assert states(engine) == [ModelState.FAILED]
    clock.forward(minutes=11)
    assert app.state.services.background.train()
    app.state.engine.dispose()


def test_the_child_gets_masked_texts_what_people_meant_and_no_secret(
    settings: Settings, clock: Clock, triage: TriageEngine, tmp_path: Path
) -> None:
    copy = (
        "import os, pathlib, shutil, sys; shutil.copy(sys.argv[-2], "
        f"{str(tmp_path / 'seen')!r}); pathlib.Path({str(tmp_path / 'env')!r})"
        ".write_text(repr(dict(os.environ)))"
    )
    app = desk_app(settings, clock, triage, (sys.executable, "-c", copy))
    admin = signed_in(app, "admin")
    desk = Desk(app)
    ticket = desk.ticket("VPN is down", "my password is Hunter2!x", category="network")
    app.state.services.tickets.change(ticket.id, {"priority": "urgent"}, by=desk.user)
    trained(app, admin)
    own, overrides = read_task(tmp_path / "seen")
    assert [one.label for one in own] == ["network"]
    assert "VPN is down" in own[0].text
    assert "Hunter2" not in own[0].text
    assert [(one.impact, one.urgency) for one in overrides] == [(1, 1)]
    assert "SECRET" not in (tmp_path / "env").read_text()
    app.state.engine.dispose()


def test_the_last_models_are_kept_whatever_failed_since(engine: Engine, clock: Clock) -> None:
    with writing(engine) as conn:
        for number in range(20):
            trained_models.ask(conn, by=None, now=clock.moment)
            model = trained_models.claim(conn, lease_until=clock.moment)
            assert model is not None
            state = ModelState.DONE if number < 10 else ModelState.FAILED
            trained_models.settle(conn, model.id, state)
        trained_models.prune(conn, active=2)
        kept = [model.id for model in trained_models.latest(conn, limit=50)]
    assert kept == [20, 19, 18, 17, 16, 10, 9, 8, 7, 6, 2]
