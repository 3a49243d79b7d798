"""Readiness: the database, its form, and every job of the worker by itself."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.db.engine import writing
from app.errors import DatabaseAway
from app.services.health import LEAST_PATIENCE, HealthService


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def failed(health: HealthService) -> dict[str, str]:
    return {check.name: check.detail for check in health.checks() if check.status == "failed"}


def soon(check: Callable[[], Any]) -> None:
    until = time.monotonic() + 20
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def test_the_job_that_stopped_is_named(engine: Engine) -> None:
    watch = Stopwatch()
    health = HealthService(engine, monotonic=watch)
    health.expect(["pushes", "pulls"])
    assert failed(health) == {"worker": "The background worker has not started: pulls, pushes."}
    health.beat("pushes")
    health.beat("pulls")
    assert failed(health) == {}
    watch.seconds += LEAST_PATIENCE + 1
    health.beat("pulls")
    said = f"The worker job “pushes” has not reported for {LEAST_PATIENCE + 1:.0f} seconds."
    assert failed(health) == {"worker": said}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_job_of_a_live_worker_is_named(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(**_: object) -> None:
        raise SystemExit

    watch = Stopwatch()
    monkeypatch.setattr(app.state.health, "_monotonic", watch)
    monkeypatch.setattr(app.state.services.servicenow.delivery, "deliver_due", dies)
    with TestClient(app) as browser:
        soon(lambda: browser.get("/readyz").status_code == 200)
        watch.seconds += 1000
        soon(lambda: "“pushes”" in browser.get("/readyz").json().get("detail", ""))
        answer = browser.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failed_check"] == "worker"


def test_a_long_job_that_goes_on_is_alive(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(app.state.health, "_monotonic", watch)

    def long(*, stopping: Callable[[], bool]) -> None:
        while not stopping():
            time.sleep(0.01)

    monkeypatch.setattr(app.state.services.servicenow.incoming, "run_due", long)
    with TestClient(app) as browser:
        soon(lambda: browser.get("/readyz").status_code == 200)
        watch.seconds += 1000
        soon(lambda: browser.get("/readyz").status_code == 200)


def test_a_database_of_another_form_is_not_ready(app: FastAPI, engine: Engine) -> None:
    with writing(engine) as conn:
        known = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        assert "migrations" in failed(app.state.health)
    finally:
        with writing(engine) as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": known})


def test_a_database_that_is_away_costs_a_job_one_line(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services, tries = app.state.services, iter(range(10_000))
    well: list[int] = []

    def away(**_: object) -> None:
        if (number := next(tries)) < 5:
            raise DatabaseAway("The database cannot be used at the moment.")
        well.append(number)

    monkeypatch.setattr(services.servicenow.delivery, "deliver_due", away)
    with caplog.at_level(logging.INFO, "app.worker"), TestClient(app):
        soon(lambda: well)
    (line,) = [record for record in caplog.records if record.name == "app.worker"]
    assert line.exc_info is None
    assert line.getMessage().startswith("worker pushes waits: The database")


@pytest.mark.parametrize("step", ["held_creates.check_at_start", "connection.try_again"])
def test_a_database_that_is_away_at_the_start_ends_no_job(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    servicenow = app.state.services.servicenow
    part, name = step.split(".")
    delivered: list[bool] = []

    def away() -> None:
        raise DatabaseAway("The database cannot be used at the moment.")

    monkeypatch.setattr(getattr(servicenow, part), name, away)
    monkeypatch.setattr(servicenow.delivery, "deliver_due", lambda **_: delivered.append(True))
    with TestClient(app):
        soon(lambda: delivered)
