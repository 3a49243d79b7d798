"""Two incidents with a ticket's key: the older is kept, the other may be cancelled."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.tickets import Ticket
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


@pytest.fixture
def doubled(service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock) -> Ticket:
    """A ticket whose lost create is found again beside a younger one with the same keys."""
    instance.honour_client_sys_id = "ignore"
    ticket = desk.ticket()
    instance.faults.add("lose_reply", method="POST")
    instance.faults.add("unauthorized", method="GET", path="/table/incident")
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    (first,) = instance.incidents.values()
    keys = {name: first[name] for name in ("correlation_id", "correlation_display")}
    instance.add_incident(number="INC0999999", sys_created_on="2099-01-01 00:00:00", **keys)
    instance.add_incident(
        number="INC0999998",
        correlation_id=first["correlation_id"],
        correlation_display="Another system",
        sys_created_on="2000-01-01 00:00:00",
    )
    clock.forward(minutes=5)
    tick(service)
    return service.push.status(ticket.id).ticket


def second(instance: Instance) -> dict[str, str]:
    return next(row for row in instance.incidents.values() if row["number"] == "INC0999999")


def test_the_older_is_kept_and_the_person_is_told(
    service: ServiceNowService, instance: Instance, desk: Desk, doubled: Ticket
) -> None:
    status = service.push.status(doubled.id)
    assert status.ticket.sn_number not in (None, "INC0999999", "INC0999998")
    assert [twin.number for twin in status.duplicates] == ["INC0999999"]
    told = [event.body for event in desk.services.tickets.detail(doubled.id, desk.user).events]
    assert any("INC0999999 is a duplicate incident" in body for body in told)


def test_the_button_cancels_exactly_that_one(
    instance: Instance, agent: TestClient, doubled: Ticket
) -> None:
    card = soup(agent.get(f"/servicenow/tickets/{doubled.id}/push", headers=HTMX).text)
    form = card.select_one("form[action*=duplicates]")
    assert form is not None
    answer = agent.post(str(form["action"]))
    assert answer.status_code == 303
    assert second(instance)["state"] == "8"
    others = [row for row in instance.incidents.values() if row["number"] != "INC0999999"]
    assert [row["state"] for row in others] == ["1", "1"]
    card = soup(agent.get(f"/servicenow/tickets/{doubled.id}/push", headers=HTMX).text)
    assert not card.select("form[action*=duplicates]")


def test_one_that_lost_our_key_is_left_alone(
    instance: Instance, api: TestClient, doubled: Ticket
) -> None:
    twin = second(instance)
    twin["correlation_id"] = "somebody-elses"
    path = f"/api/sn/tickets/{doubled.id}/duplicates/{twin['sys_id']}/cancel"
    assert api.post(path).status_code == 409
    assert twin["state"] == "1"


def test_the_api_lists_and_cancels_it_and_asking_again_is_not_found(
    instance: Instance, api: TestClient, doubled: Ticket
) -> None:
    twin = second(instance)
    path = f"/api/sn/tickets/{doubled.id}/duplicates/{twin['sys_id']}/cancel"
    instance.faults.add("lose_reply", method="PATCH")
    assert api.post(path).status_code == 503
    body = api.post(path).json()
    assert body["duplicates"] == []
    assert twin["state"] == "8"
    assert api.post(path).status_code == 404
    assert api.post(path.replace(twin["sys_id"], "0" * 32)).status_code == 404
