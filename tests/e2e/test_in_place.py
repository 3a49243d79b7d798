"""An action changes its own part of the page: place, focus and history stay."""

from typing import Any

import pytest

from app.simulator import Instance
from tests.both_sides import BETH, settled
from tests.desk import Desk
from tests.e2e.conftest import Visitor

UNTOUCHED = "document.querySelector('#description-title')"


@pytest.fixture
def ticket_id(visitor: Visitor, live_desk: Desk) -> int:
    """A long ticket, open in a browser; its description is marked to see whether it stays."""
    ticket = live_desk.ticket(subject="VPN drops", description="It drops.\n" * 60)
    for number in range(12):
        live_desk.note(ticket.id, f"Note {number}", internal=True)
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    visitor.page.evaluate(f"{UNTOUCHED}.untouched = true")
    return ticket.id


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))


def said(page: Any) -> Any:
    return page.locator("#said")


def stays(page: Any, act: Any, sentence: str) -> None:
    """Do `act`: it is said, the description is the same node, and Back leads one page back."""
    page.evaluate("window.before = history.length")
    act()
    said(page).get_by_text(sentence).wait_for()
    assert page.evaluate(f"{UNTOUCHED}.untouched === true")
    assert page.evaluate("history.length - window.before") == 0
    assert page.evaluate("document.activeElement !== document.body")
    assert said(page).get_attribute("role") == "status"


def test_a_note_is_added_in_place_and_gets_the_focus(visitor: Visitor, ticket_id: int) -> None:
    page = visitor.page
    box = page.locator("#note-form textarea")
    box.fill("The new cable helps")
    stays(page, page.locator("#note-form button").click, "Internal note added.")
    entry = page.locator("#timeline li").last
    assert "The new cable helps" in entry.inner_text()
    assert focused(page) == entry.get_attribute("id")
    assert box.input_value() == ""
    assert page.evaluate("window.scrollY") > 300


def test_accepting_a_prediction_keeps_the_place(visitor: Visitor, ticket_id: int) -> None:
    page = visitor.page
    button = page.locator("#triage button", has_text="Accept").first
    button.scroll_into_view_if_needed()
    top = page.evaluate("window.scrollY")
    assert top > 300
    stays(page, button.click, "Prediction accepted.")
    assert focused(page).startswith("prediction-")
    assert abs(page.evaluate("window.scrollY") - top) < 200
    assert page.locator("#similar").get_by_text("Find similar").count() == 0


def test_one_back_leaves_the_ticket_after_several_actions(
    visitor: Visitor, live_desk: Desk
) -> None:
    ticket = live_desk.ticket(subject="VPN drops")
    visitor.sign_in("agent")
    visitor.go("/tickets")
    visitor.page.locator("tbody a").first.click()
    visitor.page.wait_for_url(f"**/tickets/{ticket.id}")
    for _ in range(2):
        visitor.page.locator("#triage button", has_text="Accept").first.click()
        said(visitor.page).get_by_text("Prediction accepted.").wait_for()
        visitor.page.evaluate("document.getElementById('said').textContent = ''")
    visitor.page.go_back()
    visitor.page.wait_for_url("**/tickets")


def test_status_edit_and_feedback_stay_too(visitor: Visitor, ticket_id: int) -> None:
    page = visitor.page
    page.locator("#status-form select[name=status]").select_option("pending")
    stays(page, page.locator("#status-form button").click, "Status saved.")
    page.locator("#edit-form summary").click()
    page.locator("#edit-form select[name=priority]").select_option("low")
    stays(page, page.locator("#edit-form button").click, "Ticket saved.")
    assert page.locator("#edit-form").get_attribute("open") is not None
    vote = page.locator("#suggestions button", has_text="Helpful").first
    stays(page, vote.click, "Feedback saved.")
    assert page.locator("#suggestions button[aria-pressed=true]").count() == 1


def test_a_half_written_note_survives_the_answer_to_another_form(
    visitor: Visitor, ticket_id: int
) -> None:
    page = visitor.page
    page.locator("#note-form textarea").fill("Half a thou")
    page.locator("#edit-form summary").click()
    page.locator("#edit-form input[name=subject]").fill("VPN drops at noon")
    stays(page, page.locator("#triage button", has_text="Accept").first.click, "accepted")
    assert page.locator("#note-form textarea").input_value() == "Half a thou"
    assert page.locator("#edit-form input[name=subject]").input_value() == "VPN drops at noon"
    stays(page, page.locator("#edit-form button").click, "Ticket saved.")
    assert page.locator("#note-form textarea").input_value() == "Half a thou"
    page.locator("h1").get_by_text("VPN drops at noon").wait_for()
    assert page.locator("#ticket-facts").get_by_text("Network", exact=True).count() == 1


def test_what_is_half_typed_is_kept_when_another_form_brings_the_page_up_to_date(
    visitor: Visitor, ticket_id: int, live_desk: Desk
) -> None:
    page = visitor.page
    page.locator("#edit-form summary").click()
    subject = page.locator("#edit-form input[name=subject]")
    subject.fill("Mine")
    page.locator("#note-form textarea").fill("A note")
    live_desk.services.tickets.change(ticket_id, {"subject": "Theirs"}, by=live_desk.user)
    page.locator("#note-form button").click()
    page.locator("h1").get_by_text("Theirs").wait_for()
    assert subject.input_value() == "Mine"
    page.locator("#edit-form button").click()
    page.locator("#form-errors").get_by_text("while you were editing").wait_for()
    assert subject.input_value() == "Mine"


def test_what_both_changed_comes_back_marked_and_the_other_fields_follow(
    either: Visitor, live_desk: Desk
) -> None:
    ticket = live_desk.ticket(subject="VPN drops")
    either.sign_in("agent")
    either.go(f"/tickets/{ticket.id}")
    page = either.page
    page.locator("#edit-form summary").click()
    page.locator("#edit-form input[name=subject]").fill("Mine")
    theirs = {"subject": "Theirs", "priority": "low", "assignee": "admin@example.com"}
    live_desk.services.tickets.change(ticket.id, theirs, by=live_desk.user)
    page.locator("#edit-form button").click()
    errors = page.locator("#form-errors")
    errors.get_by_text("Dana Desk changed this ticket while you were editing.").wait_for()
    form = page.locator("#edit-form")
    assert form.locator("[name=subject]").input_value() == "Mine"
    assert form.locator("[name=priority]").input_value() == "low"
    assert form.locator("[name=assignee]").input_value() == "admin@example.com"
    page.locator("#edit-form button").click()
    page.locator("h1").get_by_text("Mine").wait_for()
    kept = live_desk.services.tickets.get(ticket.id, live_desk.user)
    assert (kept.subject, kept.priority, kept.assignee) == ("Mine", "low", "admin@example.com")


def test_a_form_error_keeps_the_address_and_a_failure_keeps_the_page(
    visitor: Visitor, ticket_id: int, live_desk: Desk
) -> None:
    page = visitor.page
    page.locator("#status-form select[name=status]").select_option("resolved")
    page.locator("#status-form button").click()
    page.locator("#form-errors").wait_for()
    assert page.url.endswith(f"/tickets/{ticket_id}")
    page.locator("#note-form textarea").fill("Not lost")
    page.route("**/notes", lambda route: route.abort())
    page.locator("#note-form button").click()
    page.locator("#notices").get_by_text("Cannot reach the server").wait_for()
    assert page.locator("#note-form textarea").input_value() == "Not lost"
    visitor.complaints.clear()


def test_after_the_create_dialog_the_card_has_the_focus_and_it_is_said(
    visitor: Visitor, ticket_id: int, live_desk: Desk, instance: Instance
) -> None:
    page = visitor.page
    visitor.follow("Create ServiceNow Incident")
    page.locator("#preview button").click()
    said(page).get_by_text("INC").wait_for()
    assert page.locator("dialog[open]").count() == 0
    assert focused(page) == f"push-card-{ticket_id}"
    settled(live_desk.services.servicenow, ticket_id)
    page.get_by_role("link", name="Add work note from AI suggestions").click()
    page.locator("dialog textarea").wait_for()
    page.keyboard.press("Escape")
    assert "Add work note" in focused(page)


def test_what_a_link_takes_over_is_in_the_form_at_once(
    visitor: Visitor, ticket_id: int, instance: Instance
) -> None:
    page = visitor.page
    them = instance.add_incident(short_description="VPN drops", assigned_to=BETH)
    page.locator("#body").fill("half a note")
    page.locator(f"#push-link-{ticket_id} summary").click()
    page.locator(f"#number-{ticket_id}").fill(them["number"])
    button = page.locator(f"#push-link-{ticket_id} button")
    stays(page, button.click, them["number"])
    assert page.locator("#assignee").input_value() == "beth.anglin@example.com"
    assert page.locator("#body").input_value() == "half a note"


def test_a_choice_on_the_page_of_conflicts_is_said_on_the_page_of_the_ticket(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    ticket = live_desk.ticket(subject="Ours")
    instance.add_incident(number="INC0000042", short_description="Theirs")
    service = live_desk.services.servicenow
    service.linking.link(ticket.id, "INC0000042", by="desk@example.com")
    visitor.sign_in("agent")
    visitor.go(f"/servicenow/tickets/{ticket.id}/conflicts")
    page = visitor.page
    page.locator("#conflict-subject [value=theirs]").check()
    visitor.press("Save choices")
    said(page).get_by_text("Choices saved.").wait_for()
    assert page.url == f"{visitor.url}/tickets/{ticket.id}"
    assert focused(page) == f"push-card-{ticket.id}"
    page.go_back()
    page.wait_for_url("**/conflicts")
