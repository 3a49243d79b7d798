"""Nothing leaves the machine: the whole app at work while every way out is watched and shut."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.copilot.engine import TriageEngine
from app.main import create_app
from app.models.tickets import TicketStatus
from app.settings import ServiceNowSettings, Settings
from app.simulator import Instance
from tests.conftest import HTMX, PASSWORD, SAME_ORIGIN, Clock, signed_in
from tests.desk import Desk
from tests.guard import Guard
from tests.test_killed_process import ROOT, Process, free_port
from tests.ticking import tick

GUARD = Guard()
sys.addaudithook(GUARD)


@pytest.fixture
def guard() -> Iterator[Guard]:
    GUARD.attempts.clear()
    GUARD.shut = True
    yield GUARD
    GUARD.shut = False


def test_the_guard_sees_what_would_leave(guard: Guard) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get("https://example.com", timeout=1)
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://192.0.2.1", timeout=1)
    assert len(guard.attempts) >= 2


def test_a_fresh_install_works_with_the_network_shut(
    settings: Settings, triage: TriageEngine, clock: Clock, guard: Guard
) -> None:
    bare = replace(settings, servicenow=ServiceNowSettings())
    app = create_app(bare, load_triage=lambda: triage, now=clock)
    with TestClient(app):  # with its lifespan: the worker runs too
        the_main_flows_work(app)
    assert guard.attempts == []


def test_with_an_instance_only_the_instance_is_called(
    app: FastAPI, desk: Desk, instance: Instance, guard: Guard
) -> None:
    the_main_flows_work(app)
    ticket = desk.ticket()
    desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    desk.set_status(ticket.id, TicketStatus.RESOLVED)
    tick(desk.services.servicenow)
    assert len(instance.incidents) == 1
    assert guard.attempts == []


def the_main_flows_work(app: FastAPI) -> None:
    """Open, triage, read, search, write, resolve, administer: by page and by JSON."""
    requester, agent, admin = (signed_in(app, role) for role in ("requester", "agent", "admin"))
    made = requester.post(
        "/tickets", data={"subject": "VPN will not connect", "description": "pw: hunter2"}
    )
    assert made.status_code == 303
    ticket = made.headers["location"]
    resolved = {"status": "resolved", "resolution_code": "User error", "resolution_notes": "Done"}
    asked = [
        requester.get(ticket),
        agent.get(ticket),
        agent.post(f"{ticket}/reveal"),
        agent.post(f"{ticket}/notes", data={"body": "Looking", "kind": "internal"}),
        agent.post(f"{ticket}/status", data=resolved),
        agent.get("/tickets?q=vpn", headers=HTMX),
        agent.get("/articles"),
        agent.get("/"),
        agent.get("/servicenow"),
        agent.get("/api/tickets"),
        admin.get("/admin/users"),
        admin.get("/admin/copilot"),
        admin.get("/static/app.css"),
        admin.get("/healthz"),
    ]
    assert [answer.url for answer in asked if answer.status_code >= 400] == []


# Python imports a module of this name at its start, before anything of ours.
SITE = """
import sys
from pathlib import Path
from tests.guard import Guard
sys.addaudithook(Guard(shut=True, told=Path({told!r})))
"""


@pytest.mark.slow
def test_the_real_command_starts_and_serves_with_the_network_shut(
    database_url: str, tmp_path: Path
) -> None:
    """As on a first day: the engine trains, an admin signs in and opens a ticket."""
    told = tmp_path / "attempts"
    (tmp_path / "sitecustomize.py").write_text(SITE.format(told=str(told)), encoding="utf-8")
    env = {
        "PATH": "",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a secret key for tests only",
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": PASSWORD,
    }
    process = Process(env, tmp_path)
    try:
        process.start()
        with httpx.Client(base_url=process.url, headers=SAME_ORIGIN, timeout=60) as browser:
            account = {"email": "admin@example.com", "password": PASSWORD}
            assert browser.post("/login", data=account).status_code == 303
            made = browser.post("/tickets", data={"subject": "VPN will not connect"})
            assert "Suggested steps" in browser.get(made.headers["location"]).text
    finally:
        process.stop()
    assert not told.exists(), told.read_text()
