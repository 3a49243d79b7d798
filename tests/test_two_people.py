"""Two people with the same form open: each saves what they changed and nothing else."""

from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.accounts import Role
from app.models.form_basis import Basis
from app.models.tickets import TicketStatus
from app.security import SESSION_COOKIE
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.conftest import SAME_ORIGIN, SignIn, account
from tests.desk import CODE, NOTES, Desk
from tests.html import Element, find, soup
from tests.ticking import tick

WROTE = "changed this {} while you were editing."


def filled(form: Element) -> dict[str, str]:
    """What a browser would send of a form nobody touched."""
    values: dict[str, str] = {}
    for field in form.select("input[name], select[name], textarea[name]"):
        name = str(field["name"])
        if field.name == "select":
            chosen = field.select_one("option[selected]") or field.select_one("option")
            assert chosen
            values[name] = str(chosen.get("value", chosen.get_text()))
        elif field.name == "textarea":
            values[name] = field.get_text().strip("\n")
        elif field.get("type") not in ("radio", "checkbox") or "checked" in field.attrs:
            values[name] = str(field["value"])
    return values


@dataclass(frozen=True)
class Form:
    """A form at `page`, and two values for each of its fields."""

    noun: str
    page: str
    selector: str
    fields: dict[str, tuple[str, str]]

    def open(self, browser: TestClient) -> tuple[str, dict[str, str]]:
        return self.of(soup(browser.get(self.page).text))

    def of(self, page: Element) -> tuple[str, dict[str, str]]:
        form = page.select_one(self.selector)
        assert form
        return str(form["action"]), filled(form)


EDIT = {
    "subject": ("First", "Second"),
    "description": ("First text", "Second text"),
    "priority": ("low", "high"),
    "category": ("hardware", "network"),
    "assignee": ("agent@example.com", "admin@example.com"),
}
FORMS = {
    "edit": lambda: Form("ticket", "/tickets/1", "#edit-form form", EDIT),
    "status": lambda: Form(
        "ticket", "/tickets/1", "#status-form", {"status": ("pending", "in_progress")}
    ),
    "article": lambda: Form(
        "article",
        "/articles/mailbox-full/edit",
        "main form",
        {
            "title": ("First", "Second"),
            "category": ("hardware", "network"),
            "audience": ("public", "internal"),
            "keywords": ("one", "two"),
            "body": ("First text", "Second text"),
        },
    ),
    "mapping": lambda: Form(
        "mapping",
        "/servicenow/mapping",
        "form[action='/servicenow/mapping']",
        {"state_of_status.pending": ("1", "2"), "our_priority.5": ("urgent", "high")},
    ),
    "matrix": lambda: Form(
        "matrix",
        "/admin/copilot",
        "#matrix form",
        {"1-1": ("low", "high"), "3-3": ("high", "urgent")},
    ),
}


@pytest.fixture
def browsers(app: FastAPI, sign_in: SignIn, desk: Desk) -> tuple[TestClient, TestClient]:
    """Two admins, and ticket 1."""
    assert desk.ticket().id == 1
    sign_in("agent")
    second = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    user = account(app, "second@example.com", Role.ADMIN)
    second.cookies.set(SESSION_COOKIE, app.state.services.accounts.sessions.open(user))
    return sign_in("admin"), second


@pytest.mark.parametrize("name", [name for name in FORMS if name != "status"])
def test_a_field_that_only_the_other_person_changed_stays_theirs(
    browsers: tuple[TestClient, TestClient], name: str
) -> None:
    first, second = browsers
    form = FORMS[name]()
    names = list(form.fields)
    for theirs, mine in zip(names, names[1:] + names[:1], strict=True):
        _, opened = form.open(second)
        action, early = form.open(first)
        assert first.post(action, data=early | {theirs: form.fields[theirs][0]}).status_code == 303
        answer = second.post(action, data=opened | {mine: form.fields[mine][0]})
        assert answer.status_code == 303, answer.text
        now = form.open(first)[1]
        assert now[theirs] == form.fields[theirs][0]
        assert now[mine] == form.fields[mine][0]
        assert second.post(action, data=now | {mine: form.fields[mine][1]}).status_code == 303


@pytest.mark.parametrize("name", FORMS)
def test_a_field_that_both_changed_is_shown_and_saved_by_a_second_press(
    browsers: tuple[TestClient, TestClient], name: str
) -> None:
    first, second = browsers
    form = FORMS[name]()
    for field, (theirs, mine) in form.fields.items():
        action, opened = form.open(second)
        assert first.post(action, data=opened | {field: theirs}).status_code == 303
        answer = second.post(action, data=opened | {field: mine})
        if field == "audience":  # Two values only: mine is what it was, so it is not mine.
            assert answer.status_code == 303
            continue
        assert answer.status_code == 409
        page = soup(answer.text)
        alert = page.select_one("#form-errors")
        assert alert
        assert WROTE.format(form.noun) in alert.get_text()
        assert alert.select_one(f'a[href="#{field}"]')
        assert form.open(first)[1][field] == theirs
        action, again = form.of(page)
        assert again[field] == mine
        assert second.post(action, data=again).status_code == 303
        assert form.open(first)[1][field] == mine


def test_a_form_that_comes_back_shows_what_others_changed_meanwhile(
    browsers: tuple[TestClient, TestClient],
) -> None:
    first, second = browsers
    form = FORMS["edit"]()
    action, opened = form.open(second)
    first.post(action, data=opened | {"subject": "Theirs", "priority": "low"})
    answer = second.post(action, data=opened | {"subject": "Mine", "description": "My text"})
    again = form.of(soup(answer.text))[1]
    assert (again["subject"], again["description"]) == ("Mine", "My text")
    assert again["priority"] == "low"
    wrong = second.post(action, data=opened | {"subject": " ", "description": "My text"})
    assert wrong.status_code == 422
    again = form.of(soup(wrong.text))[1]
    assert (again["description"], again["priority"]) == ("My text", "low")
    assert second.post(action, data=again | {"subject": "Mine"}).status_code == 409


def test_the_same_change_by_both_is_no_conflict(browsers: tuple[TestClient, TestClient]) -> None:
    first, second = browsers
    form = FORMS["edit"]()
    action, opened = form.open(second)
    for browser in (first, second):
        assert browser.post(action, data=opened | {"priority": "low"}).status_code == 303


def test_a_late_save_does_not_send_old_values_to_servicenow(
    agent: TestClient, both: BothSides, instance: Instance
) -> None:
    form = Form("ticket", f"/tickets/{both.id}", "#edit-form form", EDIT)
    action, opened = form.open(agent)
    both.here(priority="low", assignee="admin@example.com")
    both.service.delivery.deliver_due()
    assert agent.post(action, data=opened | {"subject": "Mine"}).status_code == 303
    both.service.delivery.deliver_due()
    assert (both.ticket.subject, both.ticket.priority) == ("Mine", "low")
    assert both.ticket.assignee == "admin@example.com"
    assert both.incident["short_description"] == "Mine"
    assert both.incident["priority"] == "4"


def test_the_person_who_changed_the_field_is_named_and_nobody_who_did_something_since(
    agent: TestClient, both: BothSides, instance: Instance
) -> None:
    form = Form("ticket", f"/tickets/{both.id}", "#edit-form form", EDIT)
    action, opened = form.open(agent)
    instance.rules.write_denied = True
    both.here(subject="Theirs")
    both.service.delivery.deliver_due()
    (item,) = both.service.push.status(both.id).items
    both.service.outbox.retry(item.id, by="admin@example.com")
    alert = soup(agent.post(action, data=opened | {"subject": "Mine"}).text)
    assert "Dana Desk changed this ticket" in find(alert, "#form-errors").get_text()


def test_a_field_that_servicenow_changed_names_servicenow(
    agent: TestClient, both: BothSides
) -> None:
    form = Form("ticket", f"/tickets/{both.id}", "#edit-form form", EDIT)
    action, opened = form.open(agent)
    both.there(short_description="Theirs")
    both.here(category="hardware")
    tick(both.service)
    alert = soup(agent.post(action, data=opened | {"subject": "Mine"}).text)
    assert "ServiceNow changed this ticket" in find(alert, "#form-errors").get_text()


def test_who_ends_a_ticket_first_is_not_undone(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket()
    form = Form("ticket", f"/tickets/{ticket.id}", "#status-form", {})
    action, opened = form.open(agent)
    desk.set_status(ticket.id, TicketStatus.RESOLVED)
    late = opened | {"status": "resolved", "resolution_code": "User error", "resolution_notes": "x"}
    answer = agent.post(action, data=late)
    assert answer.status_code == 409
    errors = soup(answer.text).select("#status-form .error p, #status-form p.error")
    assert len(errors) == 2
    kept = desk.services.tickets.get(ticket.id, desk.user)
    assert (kept.resolution_code, kept.resolution_notes) == (CODE, NOTES)


def test_hidden_text_is_compared_as_it_was_shown(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(description="my password is hunter2")
    form = Form("ticket", f"/tickets/{ticket.id}", "#edit-form form", EDIT)
    action, opened = form.open(agent)
    assert "hunter2" not in opened["description"]
    more = opened | {"subject": "Mine", "description": f"{opened['description']} today"}
    assert agent.post(action, data=more).status_code == 303
    shown = agent.post(f"/tickets/{ticket.id}/reveal")
    action, bare = form.of(soup(shown.text))
    changed = bare | {"description": "my password is hunter3"}
    assert agent.post(action, data=changed).status_code == 303
    kept = desk.services.tickets.detail(ticket.id, desk.user, revealed=True).ticket
    assert (kept.subject, kept.description) == ("Mine", "my password is hunter3")


def test_a_basis_reads_what_it_wrote(subtests: pytest.Subtests) -> None:
    shown = {"our_category.Inquiry / Help: é": "network", "x": None, "y": True}
    basis = Basis.parse(str(Basis.of(shown)))
    assert basis == Basis.of(shown)
    assert not basis.own(shown)
    assert basis.own({"x": "", "y": True, "z": ""}) == {"z": ""}
    for text in ("", "nonsense", "::::", "a: :b", "%"):
        with subtests.test(text):
            assert Basis.parse(text).own({"a": "1"}) == {"a": "1"}
