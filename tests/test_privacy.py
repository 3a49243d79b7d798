"""Secrets of a ticket at every door: hidden, but for the agent who asks to see them."""

import json
import logging
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.accounts import Role
from app.models.tickets import TicketStatus
from app.simulator import Instance
from app.web import ROOT
from tests.conftest import HTMX, Clock, SignIn
from tests.desk import Desk
from tests.html import find, soup
from tests.test_rights import ROUTES
from tests.ticking import tick

CANARY = "Kanarie-7731x"
SECOND = "4711-99-Zz"
HIDDEN = "[password hidden]"


@pytest.fixture
def ticket_id(desk: Desk) -> int:
    """A requester's ticket with the canary in all that can be written on it."""
    ticket = desk.ticket(
        subject=f"VPN: my password is {CANARY}",
        description=f"It says error 0x80070005.\nuser: jdoe pw: {CANARY}",
        requester="requester@example.com",
    )
    desk.note(ticket.id, f"I tried password {CANARY} again", internal=False)
    desk.note(ticket.id, f"The local admin password is {SECOND}", internal=True)
    return ticket.id


def bare(text: str) -> bool:
    return CANARY in text or SECOND in text


def test_readers_see_that_something_is_hidden_and_not_what(sign_in: SignIn, ticket_id: int) -> None:
    for role in ("requester", "agent", "admin"):
        page = sign_in(role).get(f"/tickets/{ticket_id}").text
        assert not bare(page), role
        assert page.count(HIDDEN) >= 4, role
        assert "0x80070005" in page, role
        assert "hidden on this ticket" in find(soup(page), "#secrets").get_text()


def test_an_agent_sees_what_was_hidden_and_the_timeline_says_so(
    agent: TestClient, requester: TestClient, ticket_id: int
) -> None:
    page = soup(agent.get(f"/tickets/{ticket_id}").text)
    form = find(page, "#secrets form")
    shown = agent.post(form["action"]).text
    assert shown.count(CANARY) >= 3
    assert SECOND in shown
    assert HIDDEN not in shown
    again = agent.get(f"/tickets/{ticket_id}").text
    assert not bare(again)
    for reader in (agent, requester):
        told = soup(reader.get(f"/tickets/{ticket_id}").text).select(".entry-revealed")
        assert [find(entry, "strong").get_text(" ").split()[0] for entry in told] == ["agent"]


def test_looking_twice_is_told_once_and_later_again(
    agent: TestClient, desk: Desk, ticket_id: int, clock: Clock
) -> None:
    def looks() -> int:
        events = desk.services.tickets.detail(ticket_id, desk.user).events
        return sum(event.kind == "revealed" for event in events)

    for _ in range(2):
        agent.post(f"/tickets/{ticket_id}/reveal")
    assert looks() == 1
    clock.forward(hours=1)
    agent.post(f"/tickets/{ticket_id}/reveal")
    assert looks() == 2


def test_a_requester_cannot_show_hidden_text(requester: TestClient, ticket_id: int) -> None:
    page = soup(requester.get(f"/tickets/{ticket_id}").text)
    assert page.select_one("#secrets form") is None
    assert requester.post(f"/tickets/{ticket_id}/reveal").status_code == 403


def test_a_ticket_without_secrets_says_nothing_of_them(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(description="Forgot my password, error 0x80070005")
    page = soup(agent.get(f"/tickets/{ticket.id}").text)
    assert page.select_one("#secrets") is None


def test_saving_the_masked_form_loses_nothing(
    agent: TestClient, desk: Desk, ticket_id: int
) -> None:
    form = find(soup(agent.get(f"/tickets/{ticket_id}").text), "#edit-form form")
    text = find(form, "textarea").get_text().removeprefix("\n")
    values = {
        "seen": find(form, "[name=seen]")["value"],
        "subject": find(form, "[name=subject]")["value"],
        "description": text.replace("It says", "It always says"),
    }
    assert not bare(json.dumps(values))
    assert agent.post(form["action"], data=values).status_code == 303
    shown = desk.services.tickets.detail(ticket_id, desk.user, revealed=True).ticket
    assert shown.subject.endswith(CANARY)
    assert shown.description.startswith("It always says")
    assert shown.description.endswith(CANARY)


def test_a_subject_that_masking_makes_too_long_can_be_kept(agent: TestClient, desk: Desk) -> None:
    subject = f"{'x' * 235} my pin is 4711"
    ticket = desk.ticket(subject=subject)
    form = find(soup(agent.get(f"/tickets/{ticket.id}").text), "#edit-form form")
    field = find(form, "[name=subject]")
    assert len(field["value"]) > 255
    assert len(field["value"]) <= int(field["maxlength"])
    values = {"seen": find(form, "[name=seen]")["value"], "subject": field["value"]}
    assert agent.post(form["action"], data={**values, "priority": "high"}).status_code == 303
    shown = desk.services.tickets.detail(ticket.id, desk.user, revealed=True).ticket
    assert (shown.subject, shown.priority) == (subject, "high")


def test_a_subject_is_measured_as_it_is_kept(
    agent: TestClient, api: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(subject=f"my password is {'Kanarie-7731x' * 9}")
    shown = api.get(f"/api/tickets/{ticket.id}").json()["subject"]
    assert HIDDEN in shown
    longer = f"{shown} {'y' * (254 - len(shown))}"
    values = {"version": ticket.version, "subject": longer}
    assert agent.post(f"/tickets/{ticket.id}/edit", data=values).status_code == 422
    answer = api.patch(f"/api/tickets/{ticket.id}", json={"subject": longer})
    assert answer.status_code == 422
    assert "255" in answer.json()["errors"]["subject"]


def test_scripts_get_masked_text_and_a_flag(api: TestClient, ticket_id: int) -> None:
    one = api.get(f"/api/tickets/{ticket_id}")
    listed = api.get("/api/tickets")
    note = api.post(f"/api/tickets/{ticket_id}/notes", json={"body": f"pw: {CANARY}"})
    changed = api.patch(f"/api/tickets/{ticket_id}", json={"category": "network"})
    made = api.post("/api/tickets", json={"subject": f"password is {CANARY}"})
    for answer in (one, listed, note, changed, made):
        assert answer.is_success
        assert not bare(answer.text)
        assert HIDDEN in answer.text
    assert one.json()["secrets_hidden"] is True
    assert note.json()["secrets_hidden"] is True
    assert api.post("/api/tickets", json={"subject": "x"}).json()["secrets_hidden"] is False


def test_nothing_hidden_leaves_for_servicenow(
    agent: TestClient, desk: Desk, instance: Instance, ticket_id: int
) -> None:
    preview = agent.get(f"/servicenow/tickets/{ticket_id}/incident").text
    assert HIDDEN in preview
    assert not bare(preview)
    servicenow = desk.services.servicenow
    servicenow.push.create_from_ticket(ticket_id, by="desk@example.com")
    servicenow.push.sync(ticket_id, by="desk@example.com", work_note=f"pw: {SECOND}")
    notes = f"Set the password to {SECOND}"
    desk.set_status(ticket_id, TicketStatus.RESOLVED, notes=notes)
    tick(servicenow)
    [(sys_id, incident)] = instance.incidents.items()
    assert incident["short_description"] == f"VPN: my password is {HIDDEN}"
    assert incident["close_notes"] == f"Set the password to {HIDDEN}"
    journal = json.dumps(instance.journal(sys_id))
    assert journal.count(HIDDEN) == 3
    assert not bare(json.dumps(instance.incidents) + journal)
    kept = desk.services.tickets.detail(ticket_id, desk.user, revealed=True).ticket
    assert CANARY in kept.description
    assert SECOND in (kept.resolution_notes or "")


def test_incidents_that_hold_secrets_are_masked_too(
    agent: TestClient, api: TestClient, instance: Instance
) -> None:
    sys_id = instance.add_incident(
        short_description=f"password is {CANARY}",
        description=f"pw: {CANARY}",
        work_notes=f"PIN 8842, pw: {CANARY}",
    )["sys_id"]
    agent.post("/servicenow/fetch")
    for answer in (
        agent.get("/servicenow"),
        agent.get(f"/servicenow/incidents/{sys_id}"),
        agent.get("/servicenow/mapping"),
        api.get("/api/sn/incidents"),
        api.get(f"/api/sn/incidents/{sys_id}"),
    ):
        assert not bare(answer.text), answer.url
        if "mapping" not in str(answer.url):
            assert HIDDEN in answer.text, answer.url


def test_the_canary_shows_at_no_door(
    app: FastAPI,
    sign_in: SignIn,
    desk: Desk,
    instance: Instance,
    ticket_id: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every page and JSON answer of every role, for a ticket that has been everywhere."""
    caplog.set_level(logging.DEBUG)
    servicenow = desk.services.servicenow
    servicenow.push.create_from_ticket(ticket_id, by="desk@example.com")
    servicenow.imports.start(import_tickets=True, by="desk@example.com")
    tick(servicenow)
    instance.faults.hibernate()
    desk.note(ticket_id, f"And now the PIN is 8842, pw {CANARY}", internal=True, push=True)
    desk.services.tickets.change(ticket_id, {"subject": f"pw: {SECOND}"}, by=desk.user)
    sys_id = next(iter(instance.incidents))
    for role in ("requester", "agent", "admin"):
        browser = sign_in(role)
        seen = 0
        for needed, routes in ROUTES.items():
            if needed is not None and not Role(role).may_act_as(needed):
                continue
            for route in (route for route in routes if route.startswith("GET ")):
                path = route.removeprefix("GET ").replace("{sys_id}", sys_id)
                path = re.sub(r"\{(run|item|article)_id\}", "1", path)
                path = path.replace("{ticket_id}", str(ticket_id))
                for headers in ({}, HTMX):
                    answer = browser.get(path, headers=headers)
                    seen += HIDDEN in answer.text
                    assert not bare(answer.text), f"{role}: {route}"
        assert not bare(browser.get("/tickets?q=VPN").text)
        assert seen >= 4, role
    assert not bare(caplog.text)
    assert "8842" not in caplog.text


def test_only_the_privacy_module_says_that_a_text_is_masked() -> None:
    """The types do the rest: a page, an answer or a push takes nothing else."""
    made = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*.py")
        if re.search(r"\bMasked(Ticket|Event|Step|Incident)\(", path.read_text(encoding="utf-8"))
    }
    assert made == {"app/services/privacy.py"}
