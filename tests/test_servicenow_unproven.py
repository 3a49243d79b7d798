"""Where no key of a create can be looked up, nothing is doubled and nothing waits unseen."""

import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.servicenow import PushState, PushStatus
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup
from tests.ticking import tick

BY = "desk@example.com"
LATE = 0.15
HIDDEN = frozenset({"correlation_id", "correlation_display"})
# What becomes of the answer, and whether an incident was made.
LOSSES: dict[str, tuple[dict[str, Any], int]] = {
    "after": ({"kind": "lose_reply"}, 1),
    "before": ({"kind": "fail", "status": 502}, 0),
    "late": ({"kind": "late_commit", "seconds": LATE}, 1),
}
JOURNALS = ("readable", "counted", "closed")


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def close_journal(instance: Instance, journal: str) -> None:
    instance.journal_readable = journal == "readable"
    instance.journal_counted = True
    if journal == "closed":
        instance.closed_tables.add("sys_journal_field")


def blind(instance: Instance, way: str = "hidden") -> None:
    """No key of a create comes back from this instance."""
    instance.honour_client_sys_id = "ignore"
    if way == "hidden":
        instance.hidden_fields = {"incident": HIDDEN}
    else:
        instance.rules.forced = dict.fromkeys(HIDDEN, "")


def lose(instance: Instance, loss: str) -> None:
    fault, _ = LOSSES[loss]
    instance.faults.add(method="POST", path="/incident", **fault)


def create_and_wait(
    service: ServiceNowService, desk: Desk, clock: Clock, ticket_id: int
) -> PushStatus:
    service.push.create_from_ticket(ticket_id, by=BY)
    time.sleep(2 * LATE)
    for _ in range(4):
        clock.forward(minutes=20)
        tick(service)
    return service.push.status(ticket_id)


@pytest.mark.slow
@pytest.mark.parametrize("known", ["learned", "never created"])
@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("way", ["hidden", "emptied"])
def test_a_lost_answer_makes_no_second_incident(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    clock: Clock,
    way: str,
    loss: str,
    journal: str,
    known: str,
) -> None:
    blind(instance, way)
    close_journal(instance, journal)
    before = 0
    if known == "learned":
        service.push.create_from_ticket(desk.ticket(subject="An earlier one").id, by=BY)
        before = 1
    lose(instance, loss)
    status = create_and_wait(service, desk, clock, desk.ticket().id)
    assert len(instance.incidents) <= before + 1
    if journal == "readable":
        assert status.state is PushState.LINKED
    elif status.state is not PushState.LINKED:
        assert status.state is PushState.BLOCKED
        assert f"Copilot Ticket ID: {status.ticket.id}" in str(status.error)


@pytest.mark.parametrize("loss", ["after", "before"])
def test_the_work_note_tells_which_incident_it_is(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock, loss: str
) -> None:
    blind(instance)
    lose(instance, loss)
    ticket = desk.ticket()
    status = create_and_wait(service, desk, clock, ticket.id)
    (incident,) = instance.incidents.values()
    assert (status.state, status.ticket.sn_sys_id) == (PushState.LINKED, incident["sys_id"])


def test_no_rows_that_are_counted_prove_nothing(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    blind(instance)
    close_journal(instance, "counted")
    service.push.create_from_ticket(desk.ticket(subject="An earlier one").id, by=BY)
    lose(instance, "after")
    status = create_and_wait(service, desk, clock, desk.ticket().id)
    assert (status.state, len(instance.incidents)) == (PushState.BLOCKED, 2)


def test_minutes_of_another_time_zone_prove_nothing(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    blind(instance)
    instance.literal_times = "user"
    account = instance.user_named("copilot")
    assert account is not None
    account["time_zone"] = "US/Pacific"
    lose(instance, "after")
    status = create_and_wait(service, desk, clock, desk.ticket().id)
    assert (status.state, len(instance.incidents)) == (PushState.BLOCKED, 1)


def test_the_note_of_another_ticket_with_the_number_is_not_taken(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    blind(instance)
    ticket = desk.ticket()
    other = instance.add_incident(short_description="Of another installation")
    text = f"Copilot Ticket ID: {ticket.id}\n[ref sic-{'f' * 32}]"
    instance.add_journal_entry(other["sys_id"], "work_notes", text, by="other")
    lose(instance, "before")
    status = create_and_wait(service, desk, clock, ticket.id)
    assert status.state is PushState.LINKED
    assert status.ticket.sn_sys_id != other["sys_id"]


@pytest.fixture
def unproven(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> PushStatus:
    """A create that waits for a person; its incident was made."""
    blind(instance)
    close_journal(instance, "counted")
    lose(instance, "after")
    status = create_and_wait(service, desk, clock, desk.ticket().id)
    assert status.state is PushState.BLOCKED
    return status


def test_a_person_links_the_incident_that_was_made(
    service: ServiceNowService, instance: Instance, unproven: PushStatus
) -> None:
    (incident,) = instance.incidents.values()
    service.linking.link(unproven.ticket.id, incident["number"], by=BY)
    status = service.push.status(unproven.ticket.id)
    assert (status.state, status.items) == (PushState.LINKED, ())


def test_retry_now_alone_sends_nothing(
    service: ServiceNowService, instance: Instance, unproven: PushStatus
) -> None:
    again = service.outbox.retry(unproven.items[0].id, by=BY)
    assert (again.state, len(instance.incidents)) == (PushState.BLOCKED, 1)


def test_a_person_who_found_none_sends_it_again(
    agent: TestClient, service: ServiceNowService, instance: Instance, unproven: PushStatus
) -> None:
    (made,) = instance.incidents
    instance.delete(made)
    card = soup(agent.get(f"/servicenow/tickets/{unproven.ticket.id}/push", headers=HTMX).text)
    button = find(card, "button[name=none_found]")
    form = button.find_parent("form")
    agent.post(form["action"], data={"none_found": button["value"]}, headers=HTMX)
    status = service.push.status(unproven.ticket.id)
    (incident,) = instance.incidents.values()
    assert (status.state, status.ticket.sn_sys_id) == (PushState.LINKED, incident["sys_id"])
    assert incident["correlation_id"] != unproven.items[0].correlation_id, "a key of its own"
    timeline = soup(agent.get(f"/tickets/{unproven.ticket.id}").text).text
    assert "No incident was found in ServiceNow" in timeline


def test_only_an_unproven_create_is_sent_again_for_a_persons_word(
    api: TestClient, service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    lose(instance, "late")
    ticket = desk.ticket()
    status = service.push.create_from_ticket(ticket.id, by=BY)
    time.sleep(2 * LATE)
    answer = api.post(f"/api/sn/outbox/{status.items[0].id}/retry?none_found=true")
    assert answer.json()["state"] == "linked"
    assert len(instance.incidents) == 1


# -- what the connection test says of it ----------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "way", "status", "said"),
    [
        (frozenset(), "accept", "passed", "by its correlation ID and sys_id"),
        (frozenset(), "ignore", "passed", "by its correlation ID"),
        (HIDDEN, "accept", "passed", "by its sys_id"),
        (HIDDEN, "ignore", "failed", "cannot be found by its correlation ID or sys_id"),
    ],
)
def test_the_connection_test_says_which_keys_are_kept(
    api: TestClient,
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    hidden: frozenset[str],
    way: str,
    status: str,
    said: str,
) -> None:
    instance.honour_client_sys_id = way
    service.push.create_from_ticket(desk.ticket().id, by=BY)
    instance.hidden_fields = {"incident": hidden}
    checks = {check["name"]: check for check in api.post("/api/sn/health").json()["checks"]}
    assert checks["create_keys"]["status"] == status
    assert said in checks["create_keys"]["detail"]


def test_what_was_learned_decides_after_the_next_lost_answer(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    """The field was shown when the last create came back, and is hidden since."""
    instance.honour_client_sys_id = "ignore"
    service.push.create_from_ticket(desk.ticket(subject="An earlier one").id, by=BY)
    instance.hidden_fields = {"incident": HIDDEN}
    close_journal(instance, "counted")
    lose(instance, "after")
    status = create_and_wait(service, desk, clock, desk.ticket().id)
    assert (status.state, len(instance.incidents)) == (PushState.BLOCKED, 2)


@pytest.mark.parametrize("way", ["left out", "refused"])
def test_where_the_correlation_id_cannot_be_read_the_sys_id_is_looked_up(
    service: ServiceNowService, instance: Instance, desk: Desk, way: str
) -> None:
    close_journal(instance, "closed")
    lose(instance, "after")
    if way == "left out":
        instance.hidden_fields = {"incident": HIDDEN}
    else:
        instance.faults.add("fail", method="GET", path="/incident", status=403)
    status = service.push.create_from_ticket(desk.ticket().id, by=BY)
    (incident,) = instance.incidents.values()
    assert (status.state, status.ticket.sn_sys_id) == (PushState.LINKED, incident["sys_id"])
