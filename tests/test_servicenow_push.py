"""A ticket becomes exactly one incident, whatever happens on the way."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI

from app.copilot.engine import TriageEngine
from app.errors import Conflict
from app.main import create_app
from app.models.servicenow import PushState
from app.models.tickets import NotePush, TicketStatus
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.simulator import Instance
from app.simulator.base import LEGACY_CLOSE_CODES
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def create(service: ServiceNowService, ticket_id: int) -> PushState:
    return service.push.create_from_ticket(ticket_id, by="agent@example.com").state


def only_incident(instance: Instance) -> dict[str, str]:
    assert len(instance.incidents) == 1
    return next(iter(instance.incidents.values()))


def test_a_ticket_becomes_an_incident_with_its_fields(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket(
        subject="VPN does not connect",
        description="Since this morning",
        requester="abel.tuter@example.com",
        priority="high",
        category="network",
    )
    status = service.push.create_from_ticket(ticket.id, by="agent@example.com")

    incident = only_incident(instance)
    assert status.created
    assert status.state is PushState.LINKED
    assert status.ticket.sn_number == incident["number"]
    assert incident["short_description"] == "VPN does not connect"
    assert incident["description"].startswith("Since this morning")
    assert (incident["impact"], incident["urgency"], incident["priority"]) == ("2", "1", "2")
    assert incident["category"] == "network"
    assert incident["caller_id"] == desk.their_user("abel.tuter@example.com")
    assert any(
        f"Copilot Ticket ID: {ticket.id}" in row["value"]
        for row in instance.journal(incident["sys_id"])
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [("open", "1"), ("in_progress", "2"), ("pending", "3"), ("resolved", "6"), ("closed", "7")],
)
def test_a_create_sends_the_current_state(
    service: ServiceNowService, instance: Instance, desk: Desk, status: str, state: str
) -> None:
    ticket = desk.ticket(status=status)
    assert create(service, ticket.id) is PushState.LINKED
    assert only_incident(instance)["state"] == state


def test_pressing_twice_gives_one_incident(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    first = service.push.create_from_ticket(ticket.id, by="a@example.com")
    second = service.push.create_from_ticket(ticket.id, by="b@example.com")
    assert (first.created, second.created) == (True, False)
    assert second.ticket.sn_number == only_incident(instance)["number"]


def test_eight_at_once_give_one_incident(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda n: service.push.create_from_ticket(ticket.id, by=f"{n}@example.com"),
                range(8),
            )
        )
    assert sum(status.created for status in found) == 1
    only_incident(instance)


def test_an_unconfirmed_create_is_not_sent_again_before_the_settle_time(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    instance.faults.add("fail", times=1, method="POST", status=503, applied=False)
    assert create(service, ticket.id) is PushState.UNCONFIRMED

    clock.forward(seconds=70)
    tick(service)
    assert not instance.incidents

    clock.forward(seconds=10)
    tick(service)
    only_incident(instance)


def test_an_instance_that_ignores_our_sys_id_is_recognised_by_the_correlation_id(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    instance.honour_client_sys_id = "ignore"
    ticket = desk.ticket()
    instance.faults.add("lose_reply", times=1, method="POST")
    create(service, ticket.id)
    assert service.push.status(ticket.id).ticket.sn_sys_id == only_incident(instance)["sys_id"]


def test_a_changed_status_follows_by_itself(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    desk.set_status(ticket.id, TicketStatus.IN_PROGRESS)
    assert service.push.status(ticket.id).state is PushState.OWED
    tick(service)
    assert only_incident(instance)["state"] == "2"
    assert service.push.status(ticket.id).state is PushState.LINKED


def test_resolving_sends_close_code_and_notes_in_the_same_write(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    desk.set_status(ticket.id, TicketStatus.RESOLVED, code="solution PROVIDED", notes="New cable")
    tick(service)
    incident = only_incident(instance)
    assert incident["state"] == "6"
    assert incident["close_code"] == "Solution provided"
    assert incident["close_notes"] == "New cable"


def test_an_unknown_close_code_is_blocked_with_the_instances_codes(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    desk.set_status(ticket.id, TicketStatus.RESOLVED, code="Our own code", notes="Done")
    tick(service)
    status = service.push.status(ticket.id)
    assert status.state is PushState.BLOCKED
    assert ("User error", "User error") in status.close_codes

    service.outbox.retry(status.items[0].id, by="agent@example.com", close_code="User error")
    assert only_incident(instance)["close_code"] == "User error"


def test_an_instance_with_the_older_codes_is_served_by_the_default(
    settings: Settings, clock: Clock, triage: TriageEngine, instance: Instance
) -> None:
    instance.use_close_codes(LEGACY_CLOSE_CODES)
    older = replace(settings.servicenow, close_code="Solved (Permanently)")
    app = create_app(replace(settings, servicenow=older), load_triage=lambda: triage, now=clock)
    ticket = Desk(app).ticket(status="resolved")
    assert create(app.state.services.servicenow, ticket.id) is PushState.LINKED
    assert only_incident(instance)["close_code"] == "Solved (Permanently)"
    app.state.services.servicenow.close()
    app.state.engine.dispose()


def test_an_incident_closed_there_is_not_reopened(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    only_incident(instance)["state"] = "7"
    service.push.sync(ticket.id, by="agent@example.com")
    desk.set_status(ticket.id, TicketStatus.IN_PROGRESS)
    tick(service)
    status = service.push.status(ticket.id)
    assert status.state is PushState.BLOCKED
    assert "cannot be reopened" in (status.error or "")
    assert only_incident(instance)["state"] == "7"


def test_a_note_that_was_unticked_stays_here(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    desk.note(ticket.id, "Between us", internal=True, push=False)
    service.push.sync(ticket.id, by="agent@example.com")
    journal = instance.journal(only_incident(instance)["sys_id"])
    assert not any("Between us" in row["value"] for row in journal)
    assert desk.notes(ticket.id)[-1].push is NotePush.NEVER


def test_a_link_undone_makes_the_next_create_a_new_incident(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    service.linking.unlink(ticket.id, "Wrong one", by="agent@example.com")
    assert create(service, ticket.id) is PushState.LINKED
    assert len(instance.incidents) == 2


def test_an_incident_is_linked_by_its_number(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    theirs = instance.add_incident(number="INC0000042", short_description="Known")
    ticket = desk.ticket()
    service.linking.link(ticket.id, "inc0000042", by="agent@example.com")
    assert service.push.status(ticket.id).ticket.sn_sys_id == theirs["sys_id"]


def test_a_create_that_may_have_arrived_yields_only_to_its_own_incident(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    instance.add_incident(number="INC0000042")
    ticket = desk.ticket()
    instance.faults.add("fail", times=None, method="GET", path="/incident", status=403)
    instance.faults.add("lose_reply", times=1, method="POST")
    create(service, ticket.id)
    clock.forward(seconds=120)
    tick(service)
    instance.faults.clear()
    assert service.push.status(ticket.id).state is PushState.BLOCKED

    with pytest.raises(Conflict, match="may already exist"):
        service.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    (made,) = (one for one in instance.incidents.values() if one["number"] != "INC0000042")
    service.linking.link(ticket.id, made["number"], by="agent@example.com")
    assert service.push.status(ticket.id).state is PushState.LINKED


def test_a_note_that_waited_for_a_link_undone_goes_to_the_next_incident(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    theirs = instance.add_incident(number="INC0000042")
    ticket = desk.ticket()
    create(service, ticket.id)
    service.outbox.pause("Maintenance", by="admin@example.com")
    desk.note(ticket.id, "Tried another cable", internal=True)
    service.linking.unlink(ticket.id, "Wrong one", by="agent@example.com")
    service.outbox.resume()
    tick(service)
    service.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    assert service.push.status(ticket.id).unsent_notes

    service.push.sync(ticket.id, by="agent@example.com")
    tick(service)
    noted = [row["value"] for row in instance.journal(theirs["sys_id"])]
    assert len([text for text in noted if "Tried another cable" in text]) == 1
    assert not service.push.status(ticket.id).unsent_notes


def test_a_note_that_may_have_arrived_is_looked_for_when_the_link_is_made_again(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    create(service, ticket.id)
    number = only_incident(instance)["number"]
    instance.faults.add("lose_reply", method="PATCH")
    instance.faults.add("fail", times=None, method="GET", status=503)
    desk.note(ticket.id, "Tried another cable", internal=True)
    tick(service)
    instance.faults.clear()
    service.linking.unlink(ticket.id, "Wrong one", by="agent@example.com")
    service.linking.link(ticket.id, number, by="agent@example.com")
    for _ in range(2):
        service.push.sync(ticket.id, by="agent@example.com")
        clock.forward(minutes=5)
        tick(service)
    journal = instance.journal(only_incident(instance)["sys_id"])
    assert len([row for row in journal if "Tried another cable" in row["value"]]) == 1
    assert not service.push.status(ticket.id).unsent_notes


def test_code_tags_of_foreign_text_are_defused(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket(description="[code]<script>alert(1)</script>[/CODE]")
    create(service, ticket.id)
    assert "[code]" not in only_incident(instance)["description"].lower()


def test_a_wait_beyond_all_calendars_keeps_the_push_owed(
    app: FastAPI, desk: Desk, instance: Instance
) -> None:
    ticket = desk.ticket()
    instance.faults.rate_limit(retry_after=10**30)
    pushes = app.state.services.servicenow.push
    status = pushes.create_from_ticket(ticket.id, by="agent@example.com")
    assert [item.state for item in status.items] == ["pending"]
    assert status.next_try_at is not None


def test_a_postponed_push_waits_as_long_as_the_instance_asks(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    instance.faults.rate_limit(retry_after=900)
    assert create(service, ticket.id) is PushState.OWED
    assert service.push.status(ticket.id).next_try_at == clock() + timedelta(seconds=900)
    clock.forward(seconds=890)
    tick(service)
    assert not instance.incidents
    clock.forward(seconds=10)
    tick(service)
    only_incident(instance)


def test_the_timeline_tells_the_first_failed_attempt_and_not_each(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    instance.faults.hibernate()
    for attempts in (1, 2, 3):
        create(service, ticket.id)
        assert service.push.status(ticket.id).attempts == attempts
        events = desk.services.tickets.detail(ticket.id, desk.user).events
        failed = [event.body for event in events if "Not sent to ServiceNow" in event.body]
        assert len(failed) == 1
        assert "hibernating" in failed[0]
        clock.forward(hours=1)
