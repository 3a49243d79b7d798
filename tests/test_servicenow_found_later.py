"""A create whose answer was lost: what people changed there before it was found is not lost."""

import pytest

from app.models.servicenow import PushState
from app.models.tickets import TicketStatus
from app.simulator import Instance
from tests.both_sides import BETH, HARDWARE, NETWORK
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick
from tests.world import a_world

BY = "desk@example.com"


@pytest.fixture
def lost(desk: Desk, instance: Instance) -> int:
    """A ticket whose incident was made, which nobody here knows yet."""
    instance.add_user(name="Dana Desk", email=desk.user.email)
    made = desk.ticket(subject="Mail is down", priority="high", category="network")
    pushes = desk.services.servicenow.push
    desk.services.servicenow.previews.of(made.id)
    instance.faults.lose_next_reply()
    instance.faults.add("drop_before", method="GET", path="/table/incident", times=None)
    status = pushes.create_from_ticket(made.id, by=BY, assignment_group=NETWORK)
    assert status.state is PushState.UNCONFIRMED
    instance.faults.clear()
    return made.id


def find(desk: Desk, clock: Clock) -> None:
    clock.forward(minutes=10)
    tick(desk.services.servicenow)


def told(desk: Desk, ticket_id: int) -> str:
    return "\n".join(one.body for one in desk.services.tickets.detail(ticket_id, desk.user).events)


def the_only(instance: Instance) -> dict[str, str]:
    (incident,) = instance.incidents.values()
    return incident


def test_what_a_person_changed_there_is_taken_over(
    desk: Desk, instance: Instance, clock: Clock, lost: int
) -> None:
    theirs = {"short_description": "All mail is down", "state": "2", "assigned_to": BETH}
    severity = {"impact": "1", "urgency": "1", "assignment_group": HARDWARE}
    instance.edit(the_only(instance)["sys_id"], **theirs, **severity)
    find(desk, clock)
    ticket = desk.services.tickets.get(lost, desk.user)
    assert (ticket.subject, ticket.status) == ("All mail is down", "in_progress")
    assert (ticket.priority, ticket.assignee) == ("urgent", "beth.anglin@example.com")
    assert ticket.assignment_group == HARDWARE
    assert "Updated from" in told(desk, lost)
    assert theirs.items() <= the_only(instance).items()


def test_what_both_changed_is_asked(
    desk: Desk, instance: Instance, clock: Clock, lost: int
) -> None:
    instance.edit(the_only(instance)["sys_id"], short_description="Theirs", state="2")
    desk.services.tickets.change(lost, {"subject": "Ours", "category": "hardware"}, by=desk.user)
    find(desk, clock)
    service = desk.services.servicenow
    assert [one.name for one in service.conflicts.of(lost).conflicts] == ["subject"]
    incident = the_only(instance)
    assert (incident["short_description"], incident["category"]) == ("Theirs", "hardware")
    assert service.push.status(lost).state is PushState.BLOCKED
    service.conflicts.resolve(lost, {"subject": "ours"}, by=BY)
    assert the_only(instance)["short_description"] == "Ours"


def test_an_edit_there_is_not_overwritten_by_a_later_local_change(
    desk: Desk, instance: Instance, clock: Clock, lost: int
) -> None:
    instance.edit(the_only(instance)["sys_id"], short_description="Theirs")
    find(desk, clock)
    desk.set_status(lost, TicketStatus.RESOLVED)
    find(desk, clock)
    incident = the_only(instance)
    assert (incident["short_description"], incident["state"]) == ("Theirs", "6")


def test_an_untouched_incident_is_in_step_without_another_write(
    desk: Desk, instance: Instance, clock: Clock, lost: int
) -> None:
    find(desk, clock)
    service = desk.services.servicenow
    assert service.push.status(lost).state is PushState.LINKED
    find(desk, clock)
    assert [one["method"] for one in instance.requests].count("PATCH") == 0
    assert "Updated from" not in told(desk, lost)


def test_what_only_this_side_changed_meanwhile_is_sent(
    desk: Desk, instance: Instance, clock: Clock, lost: int
) -> None:
    desk.services.tickets.change(lost, {"subject": "Ours"}, by=desk.user)
    find(desk, clock)
    assert the_only(instance)["short_description"] == "Ours"


def test_an_incident_of_an_earlier_try_gets_what_a_later_try_would_have_sent(
    database_url: str,
) -> None:
    with a_world(database_url) as world:
        made = world.open_ticket("First words")
        world.instance.faults.add("late_commit", method="POST", seconds=200)
        assert world.create(made).state is PushState.UNCONFIRMED
        world.services.tickets.change(made, {"subject": "Second words"}, by=world.user)
        world.instance.faults.add("drop_before", method="POST")
        world.clock.forward(seconds=150)
        world.tick()
        assert not world.instance.incidents
        world.clock.forward(minutes=30)
        world.tick()
        world.tick()
        (incident,) = world.instance.incidents.values()
        assert incident["short_description"] == "Second words"
        assert world.status(made).state is PushState.LINKED


def test_what_a_rule_made_of_it_at_once_is_no_change_of_a_person(
    desk: Desk, instance: Instance, clock: Clock
) -> None:
    instance.rules.forced = {"category": "database"}
    made = desk.ticket(category="network")
    instance.faults.lose_next_reply()
    assert desk.services.servicenow.push.create_from_ticket(made.id, by=BY).linked
    assert "Updated from" not in told(desk, made.id)
    assert desk.services.tickets.get(made.id, desk.user).category == "network"
