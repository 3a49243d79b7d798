"""What a person writes outlives their session: log in again, and it was restored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.simulator import Instance
from tests.both_sides import settled
from tests.conftest import PASSWORD
from tests.desk import Desk
from tests.e2e.conftest import Visitor

TEXT = "Two lines\nof a long text"
KEPT = "Object.keys(localStorage).filter((key) => key.startsWith('draft:')).length"


def linked(desk: Desk) -> int:
    """A ticket with an incident, and a note for it that waits."""
    ticket, service = desk.ticket(subject="VPN drops"), desk.services.servicenow
    service.push.create_from_ticket(ticket.id, by="desk@example.com")
    settled(service, ticket.id)
    service.outbox.pause("For a test", by="admin@example.com")
    desk.note(ticket.id, "The first text", internal=True, push=True)
    return ticket.id


@dataclass(frozen=True)
class Writing:
    """A form with a free text: its page, what opens it there, its box, and its button."""

    page: str
    box: str
    button: str
    open: Callable[[Visitor], None] = lambda _: None


def name_the_article(visitor: Visitor) -> None:
    visitor.page.locator("#title").fill("No sound")
    visitor.page.locator("#category").select_option("hardware")


FORMS = {
    "note": Writing("/tickets/1", "#body", "#note-form button"),
    "edit": Writing(
        "/tickets/1",
        "#description",
        "#edit-form button",
        lambda visitor: visitor.page.locator("#edit-form summary").click(),
    ),
    "resolution": Writing(
        "/tickets/1",
        "#resolution_notes",
        "#status-form button",
        lambda visitor: visitor.page.locator("#status").select_option("resolved"),
    ),
    "work note": Writing(
        "/tickets/1",
        "#work-note-text",
        "#work-note button",
        lambda visitor: visitor.follow("Add work note from AI suggestions"),
    ),
    "push": Writing(
        "/servicenow/outbox?kind=note",
        "#edit-note",
        "#push-edit button",
        lambda visitor: visitor.follow("Edit and send"),
    ),
    "article": Writing("/articles/mailbox-full/edit", "#body", "main form .primary"),
    "new article": Writing("/articles/new", "#body", "main form .primary", name_the_article),
    "ask": Writing("/ask", "#text", "[formaction='/ask/ticket']"),
    "new ticket": Writing(
        "/tickets/new",
        "#description",
        "main form .primary",
        lambda visitor: visitor.page.locator("#subject").fill("No sound"),
    ),
}


def end_session_and_press(visitor: Visitor, button: str) -> None:
    """The session ends, the button leads to the log-in, and the log-in back."""
    page = visitor.page
    page.context.clear_cookies()
    page.locator(button).first.click()
    page.get_by_label("Password").wait_for()
    page.get_by_label("E-mail").fill("agent@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    visitor.press("Log in")


def nothing_is_kept(page: Any) -> None:
    """Wait until the answer took the draft out of the browser."""
    for _ in range(200):
        if page.evaluate(KEPT) == 0:
            return
        page.wait_for_timeout(50)
    pytest.fail("A draft is left in the browser.")


@pytest.mark.parametrize("name", FORMS)
def test_a_text_is_back_after_the_log_in_and_gone_once_it_is_sent(
    visitor: Visitor, live_desk: Desk, instance: Instance, name: str
) -> None:
    assert linked(live_desk) == 1
    form, page = FORMS[name], visitor.page
    visitor.sign_in("agent")
    visitor.go(form.page)
    form.open(visitor)
    box = page.locator(form.box)
    box.fill(TEXT)
    end_session_and_press(visitor, form.button)
    page.wait_for_url(visitor.url + form.page)
    page.locator("#said").get_by_text("was restored").wait_for()
    assert page.locator("dialog[open]").count() == (name in ("work note", "push"))
    assert box.is_visible()
    assert box.input_value() == TEXT
    if name == "resolution":
        assert page.locator("#status").input_value() == "resolved"
        page.locator("#resolution_code").select_option("User error")
    page.locator(form.button).first.click()
    nothing_is_kept(page)
    assert page.locator("#form-errors").count() == 0
    visitor.go(form.page)
    form.open(visitor)
    is_saved = name in ("edit", "resolution", "article", "push")
    assert (TEXT in box.input_value()) == is_saved


def test_a_text_that_is_back_does_not_undo_what_others_saved_meanwhile(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    ticket = live_desk.ticket(description="The first text")
    form, page = FORMS["edit"], visitor.page
    visitor.sign_in("agent")
    visitor.go(form.page)
    form.open(visitor)
    page.locator(form.box).fill("Mine")
    theirs = {"description": "Theirs", "priority": "low"}
    live_desk.services.tickets.change(ticket.id, theirs, by=live_desk.user)
    end_session_and_press(visitor, form.button)
    page.locator("#said").get_by_text("was restored").wait_for()
    assert page.locator("#edit-form [name=priority]").input_value() == "low"
    page.locator(form.button).click()
    page.locator("#form-errors").get_by_text("while you were editing").wait_for()
    assert live_desk.services.tickets.get(ticket.id, live_desk.user).description == "Theirs"
    end_session_and_press(visitor, form.button)
    page.locator("#said").get_by_text("was restored").wait_for()
    assert page.locator(form.box).input_value() == "Mine"
    page.locator(form.button).click()
    nothing_is_kept(page)
    kept = live_desk.services.tickets.get(ticket.id, live_desk.user)
    assert (kept.description, kept.priority) == ("Mine", "low")


def test_a_note_outlives_the_session(either: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket(subject="VPN drops")
    either.sign_in("agent")
    either.go(f"/tickets/{ticket.id}")
    page, box = either.page, either.page.locator("#note-form textarea")
    page.get_by_label("Reply to abel.tuter@example.com").check()
    box.fill("Two lines\nof a long note")
    end_session_and_press(either, "#note-form button")
    page.get_by_role("heading", name="VPN drops").wait_for()
    page.wait_for_load_state()
    assert box.input_value() == "Two lines\nof a long note"
    assert page.get_by_label("Reply to abel.tuter@example.com").is_checked()
    page.locator("#note-form button").click()
    page.locator("#timeline li").get_by_text("of a long note").wait_for()
    either.go(f"/tickets/{ticket.id}")
    assert box.input_value() == ""
    assert [note.body for note in live_desk.notes(ticket.id)] == ["Two lines\nof a long note"]


def test_a_draft_is_shown_to_its_account_alone_and_goes_with_the_log_out(
    visitor: Visitor, live_desk: Desk
) -> None:
    ticket = live_desk.ticket(subject="VPN drops")
    path, page = f"/tickets/{ticket.id}", visitor.page
    box = page.locator("#note-form textarea")

    def kept() -> int:
        return int(page.evaluate(KEPT))

    visitor.sign_in("agent")
    visitor.go(path)
    box.fill("Half a note")
    page.context.clear_cookies()
    visitor.sign_in("admin")
    visitor.go(path)
    assert (box.input_value(), kept()) == ("", 1)
    page.context.clear_cookies()
    visitor.sign_in("agent")
    visitor.go(path)
    assert box.input_value() == "Half a note"
    visitor.press("Log out")
    page.get_by_label("Password").wait_for()
    assert kept() == 0


def test_a_draft_is_kept_for_seven_days(visitor: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket(subject="VPN drops")
    page = visitor.page
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    page.locator("#note-form textarea").fill("Half a note")
    for days, left in ((6.9, "Half a note"), (7.1, "")):
        page.evaluate(
            """(days) => { for (const key of Object.keys(localStorage)) {
              const draft = JSON.parse(localStorage[key]);
              localStorage[key] = JSON.stringify({ ...draft, at: Date.now() - days * 86400000 });
            } }""",
            days,
        )
        page.reload()
        assert page.locator("#note-form textarea").input_value() == left
