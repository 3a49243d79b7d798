"""A person changes an incident between our read and our write: nothing is lost without a trace."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.models.servicenow import PushState
from tests.both_sides import BETH, HARDWARE, BothSides
from tests.conftest import Clock
from tests.html import find, soup
from tests.ticking import tick

OURS: dict[str, dict[str, Any]] = {
    "subject": {"subject": "Ours"},
    "status": {"status": "in_progress"},
    "priority": {"priority": "low"},
    "category": {"category": "database"},
    "assignee": {"assignee": "desk@example.com"},
    "assignment_group": {"assignment_group": HARDWARE},
}
THEIRS: dict[str, dict[str, str]] = {
    "subject": {"short_description": "Theirs"},
    "status": {"state": "6", "close_code": "User error", "close_notes": "The cable"},
    "priority": {"impact": "1", "urgency": "1"},
    "category": {"category": "software"},
    "assignee": {"assigned_to": BETH},
    "assignment_group": {"assignment_group": "0123456789abcdef0123456789abcdef"},
}
TAKEN = {
    "subject": "Theirs",
    "status": "resolved",
    "priority": "urgent",
    "category": "software",
    "assignee": "beth.anglin@example.com",
    "assignment_group": "0123456789abcdef0123456789abcdef",
}
FIELDS = {
    "subject": "short_description",
    "status": "state",
    "priority": "priority",
    "category": "category",
    "assignee": "assigned_to",
    "assignment_group": "assignment_group",
}
# Two of them in every run, the others with the slow tests.
EACH = [
    *list(OURS)[:2],
    *(pytest.param(name, marks=pytest.mark.slow) for name in list(OURS)[2:]),
]


def push(both: BothSides, name: str) -> None:
    """Our change goes out and meets theirs of the same field."""
    both.instance.faults.edit_before(**THEIRS[name])
    both.here(**OURS[name])
    tick(both.service)
    assert both.instance.faults.met("edit_before")


def conflicts(both: BothSides) -> list[str]:
    return [one.name for one in both.service.conflicts.of(both.id).conflicts]


def later(both: BothSides, clock: Clock) -> None:
    clock.forward(hours=25)
    both.service.incoming.ask()
    tick(both.service)


@pytest.mark.parametrize("name", EACH)
def test_with_the_audit_a_value_that_was_overwritten_is_asked_about(
    both: BothSides, clock: Clock, name: str
) -> None:
    both.instance.audit_readable = True
    push(both, name)
    (conflict,) = both.service.conflicts.of(both.id).conflicts
    assert (conflict.name, conflict.overwritten) == (name, True)
    assert (conflict.theirs.value, conflict.theirs.by) == (TAKEN[name], "beth.anglin")
    assert (conflict.ours.value, conflict.ours.by) == (OURS[name][name], "desk@example.com")
    assert both.service.push.status(both.id).state is PushState.BLOCKED
    later(both, clock)
    assert conflicts(both) == [name]
    both.service.conflicts.resolve(both.id, {name: "theirs"}, by="desk@example.com")
    assert getattr(both.ticket, name) == TAKEN[name]
    assert THEIRS[name].items() <= both.incident.items()
    later(both, clock)
    assert (conflicts(both), getattr(both.ticket, name)) == ([], TAKEN[name])
    assert both.service.push.status(both.id).state is PushState.LINKED


@pytest.mark.parametrize("name", EACH)
def test_what_is_kept_here_stays_there(both: BothSides, clock: Clock, name: str) -> None:
    both.instance.audit_readable = True
    push(both, name)
    sent = both.incident[FIELDS[name]]
    both.service.conflicts.resolve(both.id, {name: "ours"}, by="desk@example.com")
    later(both, clock)
    assert (conflicts(both), both.incident[FIELDS[name]]) == ([], sent)
    assert getattr(both.ticket, name) == OURS[name][name]


@pytest.mark.parametrize("name", EACH)
def test_without_the_audit_a_warning_says_which_fields_were_written_and_where_to_look(
    both: BothSides, agent: TestClient, name: str
) -> None:
    push(both, name)
    assert conflicts(both) == []
    label = name.replace("_", " ")
    warning = both.ticket.sn_notice or ""
    assert f"fields was overwritten: {label}" in warning
    assert f"Check the history of {both.number} in ServiceNow" in warning
    assert warning in both.told()
    assert both.service.push.status(both.id).state is PushState.LINKED
    card = find(soup(agent.get(f"/tickets/{both.id}").text), f"#push-card-{both.id}")
    assert warning in find(card, "[role=alert]").get_text()
    assert agent.post(f"/servicenow/tickets/{both.id}/notice").status_code == 303
    assert both.ticket.sn_notice is None


def test_who_changed_it_again_afterwards_is_named_and_their_value_taken(both: BothSides) -> None:
    faults = both.instance.faults
    faults.edit_before(short_description="Theirs")
    faults.add("hang", method="GET", path=both.sys_id, seconds=0)
    again = {"short_description": "Theirs again"}
    faults.add("edit_before", method="GET", path=both.sys_id, by="fred.luddy", fields=again)
    both.here(subject="Ours")
    tick(both.service)
    assert (both.ticket.sn_notice or "").startswith("fred.luddy changed INC")
    assert both.ticket.subject == both.incident["short_description"] == "Theirs again"


def test_fields_that_were_not_sent_are_taken_over(both: BothSides) -> None:
    both.instance.audit_readable = True
    both.instance.faults.edit_before(category="software", impact="1", urgency="1")
    both.here(subject="Ours")
    tick(both.service)
    ticket = both.ticket
    assert (ticket.subject, ticket.category, ticket.priority) == ("Ours", "software", "urgent")
    assert both.incident["short_description"] == "Ours"
    assert (conflicts(both), ticket.sn_notice) == ([], None)


@pytest.mark.parametrize("user", ["system", "copilot"])
def test_with_the_audit_an_update_by_a_rule_is_no_alarm(both: BothSides, user: str) -> None:
    both.instance.audit_readable = True
    both.instance.rule_updates_as = user
    for word in ("One", "Two"):
        both.here(subject=word)
        tick(both.service)
        assert (conflicts(both), both.ticket.sn_notice) == ([], None)


@pytest.mark.parametrize("user", ["system", "copilot"])
def test_with_the_audit_a_value_that_a_rule_had_set_is_no_loss(both: BothSides, user: str) -> None:
    both.instance.audit_readable = True
    both.instance.faults.edit_before(by=user, short_description="Set by a rule")
    both.here(subject="Ours")
    tick(both.service)
    assert both.incident["short_description"] == "Ours"
    assert (conflicts(both), both.ticket.sn_notice) == ([], None)


def test_without_the_audit_an_update_by_the_system_is_no_alarm(both: BothSides) -> None:
    both.instance.rule_updates_as = "system"
    both.here(subject="One")
    tick(both.service)
    assert both.ticket.sn_notice is None
    both.instance.faults.edit_before(short_description="Theirs")
    both.here(subject="Two")
    tick(both.service)
    assert both.ticket.sn_notice


def test_without_the_audit_updates_under_our_own_account_are_learned_to_be_a_rule(
    both: BothSides,
) -> None:
    both.instance.rule_updates_as = "copilot"
    warned = []
    for word in ("One", "Two", "Three", "Four"):
        both.service.push.dismiss_notice(both.id, by="desk@example.com")
        both.here(subject=word)
        tick(both.service)
        warned.append(bool(both.ticket.sn_notice))
    assert warned == [True, True, False, False]
    both.instance.faults.edit_before(short_description="Theirs")
    both.here(subject="Five")
    tick(both.service)
    assert both.ticket.sn_notice


def test_the_same_value_on_both_sides_is_no_conflict(both: BothSides) -> None:
    both.instance.audit_readable = True
    both.instance.faults.edit_before(short_description="The same")
    both.here(subject="The same")
    tick(both.service)
    assert (conflicts(both), both.ticket.sn_notice) == ([], None)


@pytest.mark.parametrize("audit", [True, False])
@pytest.mark.parametrize("pulled", [True, False])
def test_an_edit_that_met_a_write_whose_answer_was_lost_is_found_later(
    both: BothSides, clock: Clock, audit: bool, pulled: bool
) -> None:
    both.instance.audit_readable = audit
    both.here(subject="Ours")
    theirs = {"short_description": "Theirs"}
    both.instance.faults.add("lose_reply", method="PATCH", by="beth.anglin", fields=theirs)
    tick(both.service)
    assert both.service.push.status(both.id).state is PushState.UNCONFIRMED
    if pulled:
        both.service.incoming.ask()
        both.service.incoming.run_due()
    clock.forward(minutes=10)
    tick(both.service)
    if audit:
        assert conflicts(both) == ["subject"]
    else:
        assert "fields was overwritten: subject" in (both.ticket.sn_notice or "")


def test_a_conflict_that_was_overwritten_ends_when_they_change_the_field_again(
    both: BothSides, clock: Clock
) -> None:
    both.instance.audit_readable = True
    push(both, "subject")
    both.there(short_description="Decided there")
    later(both, clock)
    assert (conflicts(both), both.ticket.subject) == ([], "Decided there")


def test_the_card_says_that_it_was_overwritten(agent: TestClient, both: BothSides) -> None:
    both.instance.audit_readable = True
    push(both, "subject")
    card = find(soup(agent.get(f"/tickets/{both.id}").text), "#conflict-card")
    assert "Nothing was overwritten" not in card.get_text()
    row = find(card, "#conflict-subject")
    assert "while this ticket was being sent" in row.get_text()
    assert row.select("td")[2].get_text() == "Mail is down"
