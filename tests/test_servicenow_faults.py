"""The fault matrix: whatever happens to a write, it ends with what was asked for, once."""

import time
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from app.models.servicenow import PushState
from app.models.tickets import TicketStatus
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.simulator import Instance
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick

pytestmark = pytest.mark.slow
LATE = 0.15
FAULTS: dict[str, dict[str, Any]] = {
    "500 before": {"kind": "fail", "status": 500},
    "502 before": {"kind": "fail", "status": 502},
    "503 before": {"kind": "fail", "status": 503},
    "504 before": {"kind": "fail", "status": 504},
    "500 after": {"kind": "fail", "status": 500, "applied": True},
    "502 after": {"kind": "fail", "status": 502, "applied": True},
    "503 after": {"kind": "fail", "status": 503, "applied": True},
    "504 after": {"kind": "fail", "status": 504, "applied": True},
    "reset before": {"kind": "drop_before"},
    "reset after": {"kind": "lose_reply"},
    "late commit": {"kind": "late_commit", "seconds": LATE},
    "slow commit": {"kind": "slow_commit", "seconds": LATE},
    "hibernation": {"kind": "hibernate"},
    "429": {"kind": "rate_limit", "retry_after": 30},
    "429 of a semaphore": {"kind": "semaphore_full"},
    "401 once": {"kind": "unauthorized"},
    "cut answer": {"kind": "cut_json"},
    "result and error": {"kind": "result_and_error"},
    "202 with nothing": {"kind": "accepted_empty"},
    "log-in page": {"kind": "login_redirect"},
    "drip": {"kind": "drip", "pause": 1.0},
    "endless body": {"kind": "endless"},
    "gzip bomb": {"kind": "gzip_bomb", "megabytes": 20},
    "nested too deeply": {"kind": "deep_json"},
}
WAYS = {
    "honours our sys_id": "accept",
    "ignores our sys_id": "ignore",
}


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """A drip lasts as long as it may; a small cap is reached sooner."""
    seconds = 1 if request.node.callspec.params["name"] == "drip" else 10
    servicenow = replace(settings.servicenow, timeout_seconds=seconds, max_answer_mb=1)
    return replace(settings, servicenow=servicenow)


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def meet(instance: Instance, name: str, method: str) -> None:
    fault = dict(FAULTS[name])
    instance.faults.add(fault.pop("kind"), method=method, path="/incident", **fault)


def let_time_pass(service: ServiceNowService, clock: Clock, name: str) -> None:
    """Hours for the services; for a late write as long as it really takes."""
    if name.startswith(("late", "slow")):
        time.sleep(2 * LATE)
    for _ in range(5):
        clock.forward(minutes=20)
        tick(service)


def only_incident(instance: Instance) -> dict[str, str]:
    assert len(instance.incidents) == 1
    return next(iter(instance.incidents.values()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_create_ends_with_one_incident_and_the_link(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock, name: str, way: str
) -> None:
    instance.honour_client_sys_id = WAYS[way]
    ticket = desk.ticket()
    meet(instance, name, "POST")
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    let_time_pass(service, clock, name)
    status = service.push.status(ticket.id)
    assert status.state is PushState.LINKED
    assert status.ticket.sn_number == only_incident(instance)["number"]
    assert instance.faults.met(FAULTS[name]["kind"])


@pytest.mark.parametrize("name", FAULTS)
def test_an_update_arrives(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock, name: str
) -> None:
    ticket = desk.ticket()
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    meet(instance, name, "PATCH")
    desk.set_status(ticket.id, TicketStatus.RESOLVED)
    tick(service)
    let_time_pass(service, clock, name)
    incident = only_incident(instance)
    assert (incident["state"], incident["close_code"]) == ("6", "Solution provided")
    assert service.push.status(ticket.id).state is PushState.LINKED


@pytest.mark.parametrize("journal", ["readable", "silently empty", "closed"])
@pytest.mark.parametrize("name", FAULTS)
def test_each_note_arrives_once(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    clock: Clock,
    name: str,
    journal: str,
) -> None:
    instance.journal_readable = journal == "readable"
    if journal == "closed":
        instance.closed_tables.add("sys_journal_field")
    ticket = desk.ticket()
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    meet(instance, name, "PATCH")
    desk.note(ticket.id, "Rebooted the router", internal=True)
    desk.note(ticket.id, "We are on it", internal=False)
    tick(service)
    let_time_pass(service, clock, name)
    service.push.sync(ticket.id, by="agent@example.com")
    service.push.sync(ticket.id, by="agent@example.com")
    sent = [
        (row["element"], row["value"].splitlines()[0])
        for row in instance.journal(only_incident(instance)["sys_id"])
    ]
    assert sent.count(("work_notes", "Rebooted the router")) == 1
    assert sent.count(("comments", "We are on it")) == 1
