"""Both sides changed the same field: shown, chosen by a person, carried out, and told."""

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, update

from app.db.engine import writing
from app.db.tables import ticket_events
from app.errors import Conflict, Invalid
from app.models.accounts import Role
from app.models.servicenow import PushState
from app.models.tickets import EventKind
from app.simulator import Instance
from tests.both_sides import BETH, HARDWARE, BothSides
from tests.conftest import HTMX, account
from tests.desk import Desk
from tests.html import find, soup
from tests.test_servicenow_pages import press
from tests.ticking import tick


@pytest.fixture
def torn(both: BothSides) -> BothSides:
    """Subject and priority were changed on both sides; the category here alone."""
    both.there(short_description="Theirs", impact="3", urgency="2")
    both.here(subject="Ours", priority="urgent", category="hardware")
    tick(both.service)
    return both


def choose(both: BothSides, **choices: str) -> None:
    both.service.conflicts.resolve(both.id, choices, by="beth@example.com")


def test_the_card_tells_both_sides_what_was_agreed_and_who_changed_it_when(
    torn: BothSides,
) -> None:
    card = torn.service.conflicts.of(torn.id)
    subject, priority = card.conflicts
    assert (subject.name, subject.agreed) == ("subject", "Mail is down")
    assert (subject.ours.shown, subject.ours.by) == ("Ours", "desk@example.com")
    assert (subject.theirs.shown, subject.theirs.by) == ("Theirs", "beth.anglin")
    assert (priority.ours.shown, priority.theirs.shown) == ("urgent", "low")
    assert subject.ours.at is not None
    assert subject.theirs.at is not None
    assert torn.incident["category"] == "hardware"


def test_each_field_goes_the_way_that_was_chosen(torn: BothSides) -> None:
    choose(torn, subject="theirs", priority="ours")
    assert (torn.ticket.subject, torn.ticket.priority) == ("Theirs", "urgent")
    assert (torn.incident["short_description"], torn.incident["priority"]) == ("Theirs", "1")
    status = torn.service.push.status(torn.id)
    assert status.state is PushState.LINKED
    assert torn.service.conflicts.of(torn.id).conflicts == ()
    assert "Ticket value used: priority urgent (ServiceNow: low)" in torn.told()
    assert "Subject: Ours → Theirs" in torn.told()


def test_what_was_not_chosen_waits_on(torn: BothSides) -> None:
    choose(torn, subject="ours")
    assert torn.incident["short_description"] == "Ours"
    assert [one.name for one in torn.service.conflicts.of(torn.id).conflicts] == ["priority"]
    assert torn.service.push.status(torn.id).state is PushState.BLOCKED


def test_a_status_taken_brings_its_resolution(both: BothSides) -> None:
    both.there(state="6", close_code="User error", close_notes="It was the cable")
    both.here(status="pending")
    tick(both.service)
    choose(both, status="theirs")
    ticket = both.ticket
    assert (ticket.status, ticket.resolution_code) == ("resolved", "User error")
    assert ticket.resolution_notes == "It was the cable"
    tick(both.service)
    assert both.incident["state"] == "6"


def test_a_status_kept_is_sent_with_its_resolution(both: BothSides) -> None:
    both.there(state="2")
    both.here(status="resolved", resolution_code="User error", resolution_notes="Cable")
    tick(both.service)
    assert both.incident["state"] == "2"
    choose(both, status="ours")
    assert (both.incident["state"], both.incident["close_notes"]) == ("6", "Cable")


def test_a_group_and_an_assignee_are_shown_by_name(both: BothSides) -> None:
    both.there(assignment_group=HARDWARE, assigned_to=BETH)
    both.here(assignment_group="Software", assignee=both.desk.user.email)
    tick(both.service)
    shown = {one.name: one for one in both.service.conflicts.of(both.id).conflicts}
    assert shown["assignment_group"].theirs.shown == "Hardware"
    assert shown["assignee"].theirs.shown == "beth.anglin@example.com"
    choose(both, assignment_group="theirs", assignee="ours")
    assert both.ticket.assignment_group_name == "Hardware"
    assert both.incident["assigned_to"] != BETH


def test_a_state_that_is_not_mapped_can_only_be_answered_with_ours(both: BothSides) -> None:
    both.incident["state"] = "-5"
    both.here(status="in_progress")
    tick(both.service)
    with pytest.raises(Invalid):
        choose(both, status="theirs")
    choose(both, status="ours")
    assert both.incident["state"] == "2"


def test_a_choice_made_on_an_old_card_changes_nothing(torn: BothSides) -> None:
    seen = torn.service.conflicts.of(torn.id).seen
    torn.there(short_description="Theirs again")
    torn.service.push.sync(torn.id, by="desk@example.com")
    with pytest.raises(Conflict):
        torn.service.conflicts.resolve(torn.id, {"subject": "ours"}, by="x@y.z", seen=seen)
    assert torn.incident["short_description"] == "Theirs again"


def test_a_conflict_ends_by_itself_when_one_side_comes_round(torn: BothSides) -> None:
    torn.there(short_description="Ours")
    torn.there(impact="1", urgency="1")
    torn.service.push.sync(torn.id, by="desk@example.com")
    assert torn.service.conflicts.of(torn.id).conflicts == ()
    assert torn.service.push.status(torn.id).state is PushState.LINKED


def test_undoing_the_link_ends_the_conflict(torn: BothSides) -> None:
    torn.service.linking.unlink(torn.id, "Wrong one", by="desk@example.com")
    assert torn.service.conflicts.of(torn.id).conflicts == ()
    assert torn.service.conflicts.count() == 0


def test_the_ticket_page_has_the_card_and_its_form_works_without_scripts(
    agent: TestClient, torn: BothSides
) -> None:
    page = soup(agent.get(f"/tickets/{torn.id}").text)
    card = page.select_one("#conflict-card")
    assert card
    assert [row["id"] for row in card.select("tbody tr")] == [
        "conflict-subject",
        "conflict-priority",
    ]
    form = find(card, "form")
    assert form
    data = {"seen": find(form, "[name=seen]")["value"], "subject": "theirs"}
    answer = agent.post(form["action"], data=data)
    where = f"/tickets/{torn.id}#push-card-{torn.id}"
    assert (answer.status_code, answer.headers["location"]) == (303, where)
    assert torn.ticket.subject == "Theirs"
    assert agent.post(form["action"], data={}).status_code == 422
    assert agent.post(form["action"], data=data | {"priority": "theirs"}).status_code == 409


def test_a_blocked_push_leads_to_the_choice(agent: TestClient, torn: BothSides) -> None:
    link = soup(agent.get(f"/tickets/{torn.id}").text).select_one(
        "a:-soup-contains('Resolve conflict')"
    )
    assert link
    assert soup(agent.get(link["href"]).text).select_one("#conflict-card")
    assert "Resolve conflict" in agent.get("/servicenow/outbox").text
    choose(torn, subject="ours", priority="ours")
    assert "This ticket has no conflicts." in agent.get(link["href"]).text


def test_tickets_in_conflict_are_counted_and_listed(agent: TestClient, torn: BothSides) -> None:
    torn.desk.ticket(subject="Quiet one")
    assert "1 ticket has a conflict with ServiceNow" in agent.get("/servicenow").text
    listed = soup(agent.get("/tickets?conflict=yes").text).select("tbody tr")
    assert [row["id"] for row in listed] == [f"ticket-{torn.id}"]


def test_scripts_read_and_resolve_conflicts(api: TestClient, torn: BothSides) -> None:
    conflicts = api.get(f"/api/tickets/{torn.id}").json()["conflicts"]
    assert [one["field"] for one in conflicts] == ["subject", "priority"]
    assert conflicts[0]["theirs"]["value"] == "Theirs"
    path = f"/api/sn/tickets/{torn.id}/conflicts"
    seen = api.get(path).json()["seen"]
    body = {"choices": {"subject": "ours", "priority": "theirs"}, "seen": seen}
    assert api.post(path, json=body).json()["conflicts"] == []
    assert (torn.ticket.priority, torn.incident["short_description"]) == ("low", "Ours")
    assert api.post(path, json=body).status_code == 409
    assert api.post(path, json={"choices": {"nosuch": "ours"}}).status_code == 422
    listed = api.get("/api/tickets", params={"conflict": True}).json()["tickets"]
    assert listed == []


def test_a_choice_on_the_page_of_conflicts_is_announced_on_the_page_of_the_ticket(
    agent: TestClient, torn: BothSides
) -> None:
    path = f"/servicenow/tickets/{torn.id}/conflicts"
    at = HTMX | {"HX-Current-URL": f"http://testserver{path}"}
    answer = agent.post(path, data={"subject": "ours"}, headers=at)
    assert json.loads(answer.headers["HX-Trigger"])["announce"] == {
        "text": "Choices saved.",
        "focus": f"push-card-{torn.id}",
    }
    assert soup(answer.text).select_one(f"#main #push-card-{torn.id}")
    assert answer.headers["HX-Push-Url"] == f"/tickets/{torn.id}"


def test_a_requester_sees_nothing_of_it(requester: TestClient, both: BothSides) -> None:
    ticket = both.desk.ticket(requester="requester@example.com")
    both.service.push.create_from_ticket(ticket.id, by="desk@example.com")
    linked = both.service.push.status(ticket.id).ticket
    both.instance.edit(str(linked.sn_sys_id), short_description="Theirs")
    both.desk.services.tickets.change(ticket.id, {"subject": "Ours"}, by=both.desk.user)
    tick(both.service)
    assert both.service.conflicts.count() == 1
    assert "conflict" not in requester.get(f"/tickets/{ticket.id}").text.casefold()
    assert requester.get(f"/api/tickets/{ticket.id}").json()["conflicts"] == []


def test_linking_an_incident_that_says_otherwise_asks_which_to_keep(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    theirs = instance.add_incident(
        number="INC0000042", short_description="Theirs", category="network", state="2"
    )
    ticket = desk.ticket(subject="Ours", priority="high")
    path = f"/servicenow/tickets/{ticket.id}"
    press(agent, f"{path}/link", number="INC0000042")
    page = soup(agent.get(f"/tickets/{ticket.id}").text)
    card = find(page, f"#push-card-{ticket.id}")
    assert find(card, ".badge").get_text() != "In sync"
    (choose_now,) = (link for link in card.select("a") if link.get_text() == "Resolve conflict")
    assert agent.get(choose_now["href"]).status_code == 200
    asked = [row["id"] for row in page.select("#conflict-card tbody tr")]
    assert "conflict-subject" in asked
    assert (ticket.subject, theirs["short_description"]) == ("Ours", "Theirs")
    # What is empty here is taken over; nothing is asked about it.
    assert "conflict-category" not in asked
    after = desk.services.tickets.get(ticket.id, desk.user)
    assert after.category == "network"

    choices = {one.removeprefix("conflict-"): "ours" for one in asked}
    desk.services.servicenow.conflicts.resolve(ticket.id, choices, by="agent@example.com")
    page = soup(agent.get(f"/tickets/{ticket.id}").text)
    assert find(page, f"#push-card-{ticket.id} .badge").get_text() == "In sync"
    assert theirs["short_description"] == "Ours"


@pytest.mark.parametrize(
    ("there", "hidden"),
    [
        ({"state": "42"}, frozenset()),
        ({"impact": "9", "urgency": "9", "priority": "9"}, frozenset()),
        ({"state": "2"}, frozenset({"state"})),
        ({"short_description": "Theirs"}, frozenset({"short_description"})),
    ],
)
def test_linking_overwrites_nothing_that_cannot_be_read(
    desk: Desk, instance: Instance, there: dict[str, str], hidden: frozenset[str]
) -> None:
    incident = {"short_description": "Ours", "category": "network", "state": "1"} | there
    theirs = instance.add_incident(number="INC0000042", **incident)
    before = {name: theirs[name] for name in there}
    instance.hidden_fields["incident"] = hidden
    ticket = desk.ticket(subject="Ours", priority="high", category="network")
    service = desk.services.servicenow
    service.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    tick(service)
    assert {name: theirs[name] for name in there} == before


def test_what_is_empty_there_is_filled_from_here_when_linked(
    desk: Desk, instance: Instance
) -> None:
    theirs = instance.add_incident(
        number="INC0000042", short_description="Ours", category="", state="1"
    )
    ticket = desk.ticket(subject="Ours", category="network")
    service = desk.services.servicenow
    service.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    tick(service)
    assert theirs["category"] == "network"


def test_what_was_never_agreed_on_says_so(desk: Desk, instance: Instance) -> None:
    instance.add_incident(number="INC0000042", short_description="Theirs")
    ticket = desk.ticket(subject="Ours")
    service = desk.services.servicenow
    service.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    subject = next(one for one in service.conflicts.of(ticket.id).conflicts)
    assert (subject.name, subject.agreed) == ("subject", "never")


def test_a_field_that_was_never_edited_is_by_the_person_who_opened_the_ticket(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    instance.add_incident(number="INC0000042", short_description="Theirs")
    ticket = desk.ticket(subject="Ours")
    desk.services.servicenow.linking.link(ticket.id, "INC0000042", by="agent@example.com")
    page = soup(agent.get(f"/servicenow/tickets/{ticket.id}/conflicts").text)
    ours = find(page, "#conflict-subject [data-label=Ticket] .muted")
    assert desk.user.name in ours.get_text()
    assert ours.select_one("time")


def test_nobody_here_wrote_the_values_of_an_imported_ticket(
    both: BothSides, engine: Engine
) -> None:
    both.there(short_description="Theirs")
    both.here(subject="Ours")
    tick(both.service)
    with writing(engine) as conn:
        conn.execute(update(ticket_events).values(changes=None))
        opened = update(ticket_events).where(ticket_events.c.kind == EventKind.STATUS)
        conn.execute(opened.values(kind=EventKind.SERVICENOW, author=None))
        conn.execute(delete(ticket_events).where(ticket_events.c.kind == EventKind.EDIT))
    (subject,) = both.service.conflicts.of(both.id).conflicts
    assert (subject.ours.by, subject.ours.at) == ("", None)


def test_who_changed_a_field_is_known_whatever_words_other_fields_hold(
    both: BothSides, app: FastAPI
) -> None:
    both.here(priority="low")
    liar = account(app, "liar@example.com", Role.AGENT)
    words = {"subject": "VPN; priority: urgent", "category": "hardware"}
    both.desk.services.tickets.change(both.id, words, by=liar)
    both.there(short_description="Theirs", impact="1", urgency="1")
    tick(both.service)
    by = {one.name: one.ours.by for one in both.service.conflicts.of(both.id).conflicts}
    assert by == {"subject": "liar@example.com", "priority": "desk@example.com"}


def test_an_entry_from_before_changes_were_recorded_names_nobody(
    torn: BothSides, engine: Engine
) -> None:
    old = "subject: Mail is down → Ours; priority: high → urgent"
    with writing(engine) as conn:
        edits = update(ticket_events).where(ticket_events.c.kind == EventKind.EDIT)
        conn.execute(edits.values(body=old, changes=None))
    assert [one.ours.by for one in torn.service.conflicts.of(torn.id).conflicts] == ["", ""]
    assert old in torn.told()
