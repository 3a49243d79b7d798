"""python -m app as a newcomer and an operator use it, in processes of their own."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.demo.run import Keeper, demo_settings, make_sample
from app.main import create_app, kept_secret, offline_services
from app.models.accounts import Role
from app.models.servicenow_pages import OutboxFilter
from app.models.views import TicketFilter
from app.settings import Settings
from app.simulator import RunningSimulator
from tests.html import find, soup
from tests.test_killed_process import Process, eventually, free_port

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PORT": str(free_port()),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'desk.db'}",
        "SECRET_KEY": "a secret key for tests only",
    }


def run(env: dict[str, str], cwd: Path, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=cwd,
        env=env,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_accounts_and_tokens_are_made_on_the_command_line(
    env: dict[str, str], tmp_path: Path
) -> None:
    status, said, _ = run(env, tmp_path, "--help")
    assert status == 0
    assert all(word in said for word in ("serve", "demo", "create-user", "create-token"))
    arguments = ("create-user", "Ann@Example.com", "--role", "agent", "--password-stdin")
    status, said, _ = run(env, tmp_path, *arguments, typed="correct horse battery\n")
    assert (status, said) == (0, "ann@example.com (agent)\n")
    status, _, trouble = run(env, tmp_path, *arguments, typed="correct horse battery\n")
    assert (status, trouble.strip()) == (2, "An account with this e-mail already exists.")
    named = ("create-user", "bea@example.com", "--role", "requester", "--name", "Bea Muster")
    assert run(env, tmp_path, *named)[0] == 0
    status, token, _ = run(env, tmp_path, "create-token", "ann@example.com", "--name", "cron")
    assert status == 0
    with offline_services(Settings.from_env(env)) as services:
        owner = services.accounts.user_of_token(token.strip())
        assert owner is not None
        assert (owner.email, owner.name) == ("ann@example.com", "ann")
        assert services.accounts.user_by_email("bea@example.com").name == "Bea Muster"
    assert token.count("\n") == 1


@pytest.mark.slow
def test_it_starts_with_nothing_configured_and_prints_the_first_password_once(
    env: dict[str, str], tmp_path: Path
) -> None:
    process = Process(env, tmp_path)
    process.start()
    eventually(lambda: httpx.get(f"{process.url}/readyz").status_code == 200)
    missing = httpx.get(f"{process.url}/nosuch?token=canary-in-a-query")
    assert missing.status_code in (303, 404)
    process.stop()
    log = (tmp_path / "log").read_text()
    password = log.split("password ")[1].split(" ")[0]
    assert log.count(password) == 1
    assert "canary" not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("path") == "/nosuch"]
    assert [line["status"] for line in asked] == [missing.status_code]
    assert asked[0]["request_id"] == missing.headers["X-Request-ID"]

    process.start()
    process.stop()
    assert (tmp_path / "log").read_text().count("First admin") == 1


def test_the_generated_secret_is_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    first = kept_secret(path)
    assert len(first) >= 32
    assert kept_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.slow
def test_the_demo_has_history_and_one_push_owed_and_one_blocked(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "instance.json")
    with RunningSimulator(keeper.instance) as simulator:
        settings = demo_settings(Settings(), tmp_path, simulator.url)
        make_sample(settings, keeper.instance, tmp_path, tickets=12, incidents=40)
        app = create_app(settings)
        services = app.state.services
        admin = services.accounts.user_by_email("admin@example.com")
        assert services.tickets.list(TicketFilter(), admin, sort="updated", page=1).total == 14
        waiting = services.servicenow.outbox.shown(OutboxFilter(state="waiting")).rows
        assert sorted(row.item.state for row in waiting) == ["blocked", "pending"]
        assert services.servicenow.incidents.list().total == len(keeper.instance.incidents) >= 42
        assert services.servicenow.connection.view().connected
        checks = services.servicenow.connection.view().checks
        assert not [check for check in checks if check.status == "failed"]
        wifi = next(t for t in services.tickets.after(TicketFilter(), admin, last=None, limit=50)[0]
                    if t.subject.startswith("Wi-Fi in meeting room 4"))  # fmt: skip
        assert wifi.effective_category == "network"
        steps = services.tickets.detail(wifi.id, admin).suggestions
        assert {step.source for step in steps if step.kind == "article"} == {
            "wifi-poor-in-one-area"
        }
        sent = keeper.instance.incidents[wifi.sn_sys_id or ""]
        assert sent["category"] == "network"
        assert "access point" in sent["description"]
        assert "print" not in sent["description"]
        assert services.accounts.user_by_email("requester@example.com").role is Role.REQUESTER
        services.servicenow.close()
        app.state.engine.dispose()
    keeper.save()
    again = Keeper(tmp_path / "instance.json")
    assert again.load()
    assert again.instance.incidents == keeper.instance.incidents


def test_the_demo_shows_its_accounts_and_says_what_it_is(
    env: dict[str, str], tmp_path: Path
) -> None:
    settings = demo_settings(Settings.from_env(env), tmp_path, "http://127.0.0.1:9")
    app = create_app(settings)
    app.state.demo_accounts = (("agent@example.com", "secret-of-the-demo", Role.AGENT),)
    page = soup(TestClient(app).get("/login").text)
    assert "agent@example.com" in find(page, "#demo-accounts").get_text()
    assert "simulated ServiceNow" in find(page, ".demo-banner").get_text()
    app.state.services.servicenow.close()
    app.state.engine.dispose()
