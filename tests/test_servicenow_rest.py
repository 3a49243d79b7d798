"""After five failures of one kind the connection rests; tickets and people go on."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.servicenow import PushState
from app.models.sync_runs import RunState
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import soup
from tests.ticking import tick


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def exhaust(service: ServiceNowService, instance: Instance, desk: Desk) -> int:
    """Five creates that fail; answers the last ticket."""
    instance.faults.add("unauthorized", times=None)
    for _ in range(5):
        ticket = desk.ticket()
        service.push.create_from_ticket(ticket.id, by="agent@example.com")
    return ticket.id


def test_five_failures_of_one_kind_let_the_connection_rest(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket_id = exhaust(service, instance, desk)
    rest = service.connection.rest()
    assert rest is not None
    assert (rest.since, rest.until, rest.failures) == (clock(), clock() + timedelta(minutes=1), 5)

    called = len(instance.requests)
    another = desk.ticket()
    status = service.push.create_from_ticket(another.id, by="agent@example.com")
    tick(service)
    assert status.state is PushState.OWED
    assert status.next_try_at == rest.until
    assert service.push.status(ticket_id).next_try_at == rest.until
    assert len(instance.requests) == called


def test_each_rest_is_twice_as_long_and_a_success_ends_it(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    exhaust(service, instance, desk)
    lengths = []
    for _ in range(6):
        rest = service.connection.rest()
        assert rest is not None
        lengths.append((rest.until - clock()).total_seconds() / 60)
        clock.moment = rest.until
        assert service.connection.rest() is None
        service.connection.test()
    assert lengths == [1, 2, 4, 8, 15, 15]

    instance.faults.clear()
    service.connection.test()
    assert service.connection.rest() is None
    clock.forward(hours=5)
    tick(service)
    assert len(instance.incidents) == 5


def test_failures_of_different_kinds_are_no_reason_to_rest(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    for number in range(6):
        kind = "unauthorized" if number % 2 else "rate_limit"
        instance.faults.add(kind, times=None)
        service.push.create_from_ticket(desk.ticket().id, by="agent@example.com")
        instance.faults.clear()
    assert service.connection.rest() is None


def test_pulls_wait_while_the_connection_rests_and_go_on_after_it(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    exhaust(service, instance, desk)
    instance.faults.clear()
    instance.add_incident(number="INC1")
    run = service.imports.start(by="admin@example.com", import_tickets=True)
    service.incoming.ask()
    called = len(instance.requests)
    tick(service)
    assert len(instance.requests) == called
    assert not service.imports.get(run.id).finished

    clock.forward(minutes=1)
    tick(service)
    ended = service.imports.get(run.id)
    assert (ended.state, ended.created) == (RunState.DONE, 1)
    assert service.incoming.view().state.pulled_at == clock()


def test_retry_now_may_try_while_the_connection_rests(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket_id = exhaust(service, instance, desk)
    instance.faults.clear()
    item = service.push.status(ticket_id).items[0]
    assert service.outbox.retry(item.id, by="agent@example.com").state is PushState.LINKED
    assert service.connection.rest() is None


def test_the_pages_the_card_and_the_api_say_since_when_and_why(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    admin: TestClient,
    api: TestClient,
) -> None:
    ticket_id = exhaust(service, instance, desk)
    for path in ("/servicenow", "/servicenow/outbox", "/servicenow/history", "/servicenow/mapping"):
        note = soup(admin.get(path).text).select_one("#rest-note .held")
        assert note is not None, path
        assert "rejected the sign-in" in note.text
        assert "5 errors in a row" in note.text
    card = soup(admin.get(f"/servicenow/tickets/{ticket_id}/push", headers=HTMX).text)
    assert card.select_one("#rest-note .held")
    resting = api.get("/api/sn/health").json()["resting"]
    assert resting["failures"] == 5
    assert resting["since"] == "2026-11-24T09:00:00Z"
    assert resting["until"] == "2026-11-24T09:01:00Z"
