"""A linked ticket and its incident, edited on both sides: what flows, what is said, what waits."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from app.errors import Conflict
from app.models.servicenow import PushState
from app.models.tickets import TicketStatus
from app.simulator.base import sys_id_of
from tests.both_sides import BETH, HARDWARE, NETWORK, BothSides
from tests.conftest import Clock
from tests.ticking import tick


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"subject": "All mail is down"}, "short_description", "All mail is down"),
        ({"status": "in_progress"}, "state", "2"),
        ({"priority": "urgent"}, "priority", "1"),
        ({"category": "hardware"}, "category", "hardware"),
        ({"assignee": "desk@example.com"}, "assigned_to", sys_id_of("sys_user", "desk")),
        ({"assignment_group": "Hardware"}, "assignment_group", HARDWARE),
        ({"assignment_group": HARDWARE}, "assignment_group", HARDWARE),
    ],
)
def test_a_change_of_any_shared_field_follows_by_itself(
    both: BothSides,
    changes: dict[str, str],
    field: str,
    value: str,
) -> None:
    both.here(**changes)
    assert both.service.push.status(both.id).state is PushState.OWED
    tick(both.service)
    assert both.incident[field] == value
    assert both.patches() == 1
    assert both.service.push.status(both.id).state is PushState.LINKED
    both.service.push.sync(both.id, by=both.desk.user.email)
    assert both.patches() == 1


def test_a_description_is_not_shared_and_owes_nothing(both: BothSides) -> None:
    both.here(description="More of it")
    assert both.service.waiting_count() == 0


def test_the_group_of_a_create_becomes_the_tickets(both: BothSides) -> None:
    assert (both.ticket.assignment_group, both.ticket.assignment_group_name) == (NETWORK, "Network")


def test_an_emptied_assignee_is_emptied_there(both: BothSides) -> None:
    for assignee in (both.desk.user.email, None):
        both.here(assignee=assignee)
        tick(both.service)
    assert both.incident["assigned_to"] == ""


def test_only_what_differs_is_sent_and_what_others_changed_stays(both: BothSides) -> None:
    both.there(short_description="Theirs", assigned_to=BETH)
    both.here(priority="low")
    tick(both.service)
    incident = both.incident
    assert (incident["short_description"], incident["priority"]) == ("Theirs", "4")
    ticket = both.ticket
    assert (ticket.subject, ticket.priority, ticket.assignee) == (
        "Theirs",
        "low",
        "beth.anglin@example.com",
    )
    assert "Subject: Mail is down → Theirs" in both.told()


def test_an_address_of_two_active_users_is_ambiguous_and_not_missing(both: BothSides) -> None:
    for user_name in ("twin.one", "twin.two"):
        both.instance.add_user(name="Twin", email="admin@example.com", user_name=user_name)
    both.here(assignee="admin@example.com")
    tick(both.service)
    said = "Assignee not sent. admin@example.com matches more than one active user in ServiceNow."
    assert said in both.told()
    assert "was not found" not in both.told()
    twins = both.desk.ticket(requester="admin@example.com")
    assert any(
        "Caller: admin@example.com matches more than one active user in ServiceNow" in note
        for note in both.service.previews.of(twins.id).notes
    )


def test_a_choice_or_person_unknown_there_is_not_sent_and_said(both: BothSides) -> None:
    both.here(category="access", assignee="admin@example.com", priority="low")
    tick(both.service)
    incident = both.incident
    assert (incident["category"], incident["assigned_to"]) == ("network", "")
    assert incident["priority"] == "4"
    assert "Category not sent. ServiceNow does not have “access”." in both.told()
    assert "Assignee not sent. admin@example.com was not found in ServiceNow." in both.told()
    assert both.service.push.status(both.id).state is PushState.LINKED


def test_what_a_rule_there_did_not_keep_is_said_and_not_sent_for_ever(both: BothSides) -> None:
    both.instance.rules.forced = {"assignment_group": NETWORK}
    both.here(assignment_group="Hardware")
    tick(both.service)
    assert "did not use the assignment group that was sent. Its value is “Network”" in both.told()
    before = both.patches()
    both.service.push.sync(both.id, by=both.desk.user.email)
    assert both.patches() == before


def test_a_state_that_a_rule_changed_back_is_blocked_and_sent_again_on_a_retry(
    both: BothSides,
) -> None:
    both.instance.rules.forced = {"state": "1"}
    both.here(status="in_progress")
    tick(both.service)
    status = both.service.push.status(both.id)
    assert "A business rule may have changed it back" in (status.error or "")
    both.instance.rules.forced = {}
    both.service.outbox.retry(status.items[0].id, by=both.desk.user.email)
    assert both.incident["state"] == "2"


def test_a_field_that_both_sides_changed_waits_while_the_others_flow(both: BothSides) -> None:
    both.there(short_description="Theirs")
    both.here(subject="Ours", priority="low")
    tick(both.service)
    incident = both.incident
    assert (incident["short_description"], incident["priority"]) == ("Theirs", "4")
    status = both.service.push.status(both.id)
    assert status.state is PushState.BLOCKED
    assert status.error == (f"Conflict with {both.number}: subject. Resolve it on the ticket.")
    ticket = both.ticket
    assert ticket.subject == "Ours"
    assert ticket.sn_conflicts["subject"]["theirs"] == "Theirs"
    assert ticket.sn_conflicts["subject"]["by"] == "beth.anglin"


def test_both_sides_changing_to_the_same_is_no_conflict(both: BothSides) -> None:
    both.there(category="software")
    both.here(category="software")
    tick(both.service)
    assert both.service.push.status(both.id).state is PushState.LINKED
    assert both.patches() == 0


def test_a_state_there_that_is_not_mapped_here_is_not_overwritten(both: BothSides) -> None:
    both.incident["state"] = "-5"
    both.here(status="in_progress")
    tick(both.service)
    assert both.incident["state"] == "-5"
    assert both.service.push.status(both.id).state is PushState.BLOCKED


def test_a_field_hidden_from_the_account_is_not_emptied_here(both: BothSides) -> None:
    both.here(assignee=both.desk.user.email)
    tick(both.service)
    both.instance.hidden_fields = {"incident": frozenset({"assigned_to", "assignment_group"})}
    both.service.push.sync(both.id, by=both.desk.user.email)
    ticket = both.ticket
    assert (ticket.assignee, ticket.assignment_group) == (both.desk.user.email, NETWORK)


def test_resolving_while_they_wrote_other_close_notes_overwrites_nothing(both: BothSides) -> None:
    both.desk.set_status(both.id, TicketStatus.RESOLVED)
    tick(both.service)
    both.there(close_notes="What they found")
    both.here(status="closed")
    tick(both.service)
    incident = both.incident
    assert (incident["state"], incident["close_notes"]) == ("7", "What they found")
    ticket = both.ticket
    assert ticket.resolution_notes == "What they found"


def test_the_json_door_shows_and_accepts_a_group(api: TestClient, both: BothSides) -> None:
    path = f"/api/tickets/{both.id}"
    answer = api.patch(path, json={"assignment_group": "Hardware"})
    assert answer.json()["assignment_group"] == HARDWARE
    assert api.get(path).json()["assignment_group_name"] == "Hardware"
    refused = api.patch(path, json={"assignment_group": "No such group"})
    assert refused.status_code == 422
    assert "assignment_group" in refused.json()["errors"]


def test_the_edit_form_offers_the_groups_as_last_read(agent: TestClient, both: BothSides) -> None:
    both.instance.faults.hibernate()
    page = agent.get(f"/tickets/{both.id}").text
    assert f'<option value="{NETWORK}" selected>Network</option>' in page
    form = {
        "version": str(both.ticket.version),
        "subject": both.ticket.subject,
        "assignment_group": HARDWARE,
    }
    assert agent.post(f"/tickets/{both.id}/edit", data=form).status_code == 303
    assert "Assignment group: Network → Hardware" in agent.get(f"/tickets/{both.id}").text


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        (("open", "resolved", "open"), "1"),
        (("resolved", "open", "in_progress"), "2"),
        (("resolved", "closed", "pending"), "3"),
        (("in_progress", "open", "resolved"), "6"),
    ],
)
@pytest.mark.parametrize(
    "trouble", ["down", pytest.param("first answer lost", marks=pytest.mark.slow)]
)
def test_after_several_changes_while_nothing_gets_through_the_last_status_is_there(
    both: BothSides, clock: Clock, steps: tuple[str, ...], state: str, trouble: str
) -> None:
    if trouble == "down":
        both.instance.faults.add("drop_before", times=None)
    else:
        both.instance.faults.add("lose_reply", method="PATCH")
    for status in steps:
        ended = {"resolution_code": "User error", "resolution_notes": "Cable"}
        both.here(status=status, **(ended if status in ("resolved", "closed") else {}))
        tick(both.service)
        both.instance.faults.add("drop_before", times=None)
        clock.forward(minutes=5)
    both.instance.faults.clear()
    for _ in range(2):
        clock.forward(hours=5)
        tick(both.service)
    assert (both.ticket.status, both.incident["state"]) == (steps[-1], state)
    assert both.service.push.status(both.id).state is PushState.LINKED
    assert both.service.conflicts.of(both.id).conflicts == ()
    writes = both.patches()
    clock.forward(hours=25)
    tick(both.service)
    assert both.patches() == writes


@pytest.mark.parametrize("field", ["subject", "category"])
def test_two_people_who_save_the_same_version_at_once_lose_nothing(
    both: BothSides, field: str
) -> None:
    basis, service = both.ticket.basis, both.desk.services.tickets
    start = threading.Barrier(2)

    def save(changes: dict[str, str]) -> str:
        start.wait()
        try:
            service.change(both.id, changes, by=both.desk.user, basis=basis)
        except Conflict:
            return ""
        return changes.get(field, "")

    with ThreadPoolExecutor(2) as people:
        one = people.submit(save, {field: "hardware" if field == "category" else "One"})
        two = people.submit(save, {"subject": "Two"})
        saved = {one.result(), two.result()}
    tick(both.service)
    ticket = both.ticket
    assert both.incident["short_description"] == ticket.subject
    assert both.incident["category"] == ticket.category
    if field == "subject":
        assert saved == {"", ticket.subject}
    else:
        assert (ticket.subject, ticket.category) == ("Two", "hardware")
