"""What only a browser shows: dialogs, search as you type, Back, double clicks, policy."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.db.engine import reading, utc_now, writing
from app.db.tables import sessions
from app.settings import Settings
from app.simulator import Instance
from tests.both_sides import settled
from tests.conftest import Live
from tests.desk import Desk
from tests.e2e.conftest import Visitor

PAGES = {
    "requester": ["/", "/tickets", "/tickets/new", "/tickets/1", "/account"],
    "agent": [
        "/servicenow",
        "/servicenow/setup",
        "/servicenow/outbox",
        "/servicenow/mapping",
        "/servicenow/history",
        "/servicenow/tickets/1/incident",
        "/servicenow/tickets/1/work-note",
        "/tickets/1",
        "/tickets?q=x",
        "/nosuch",
    ],
    "admin": ["/admin/users", "/admin/tokens", "/servicenow", "/servicenow/mapping"],
}


@pytest.mark.parametrize("role", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_breaks_the_policy_complains_or_scrolls_sideways(
    visitor: Visitor, live_desk: Desk, role: str, width: int
) -> None:
    live_desk.ticket(requester="requester@example.com", subject="A-very-long-word-" * 9)
    visitor.page.set_viewport_size({"width": width, "height": 800})
    visitor.sign_in(role)
    for path in PAGES[role]:
        visitor.go(path)
        assert visitor.page.locator("h1").count() == 1, path
        wider = visitor.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{path} is {wider} px too wide"


@pytest.mark.parametrize("path", ["/", "/tickets", "/servicenow", "/admin/users"])
def test_on_a_phone_the_navigation_is_one_row(
    visitor: Visitor, live_desk: Desk, instance: Instance, path: str
) -> None:
    instance.rules.write_denied = True
    ticket = live_desk.ticket()
    live_desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk")
    settled(live_desk.services.servicenow, ticket.id)
    visitor.page.set_viewport_size({"width": 375, "height": 800})
    visitor.sign_in("admin")
    visitor.go(path)
    links = visitor.page.locator(".site-nav a:visible")
    assert links.count() == 5
    assert visitor.page.locator(".site-nav .count").is_visible()
    assert len({one.bounding_box()["y"] for one in links.all()}) == 1


def test_a_double_click_makes_one_incident(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    ticket = live_desk.ticket()
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    visitor.follow("Create ServiceNow Incident")
    visitor.page.locator("#preview button").dblclick()
    visitor.page.get_by_text("In sync", exact=True).wait_for()
    assert len(instance.incidents) == 1
    assert visitor.page.locator("dialog[open]").count() == 0


def test_search_as_you_type_keeps_its_state_in_the_address(
    visitor: Visitor, live_desk: Desk
) -> None:
    live_desk.ticket(subject="Router down")
    live_desk.ticket(subject="Printer on fire")
    visitor.sign_in("agent")
    visitor.go("/tickets")
    visitor.page.get_by_label("Search").press_sequentially("router")
    visitor.page.get_by_text("1 ticket", exact=True).wait_for()
    visitor.page.wait_for_url(re.compile(r"q=router"))
    visitor.page.locator("tbody tr").first.click()
    visitor.page.get_by_role("heading", name="Router down").wait_for()
    visitor.page.go_back()
    visitor.page.get_by_text("1 ticket", exact=True).wait_for()
    assert visitor.page.locator("nav.site-nav").count() == 1
    assert visitor.page.get_by_label("Search").input_value() == "router"


def test_a_failure_is_said_in_words_and_nothing_is_lost(
    visitor: Visitor, instance: Instance
) -> None:
    visitor.sign_in("agent")
    visitor.go("/servicenow")
    instance.faults.hibernate()
    visitor.press("Fetch latest incidents")
    visitor.page.get_by_role("alert").get_by_text("hibernating").wait_for()
    assert visitor.page.locator("#incident-table").count() == 1
    visitor.page.get_by_role("button", name="Dismiss").click()
    assert visitor.page.locator("#notices .notice").count() == 0


def test_a_form_error_is_focused_and_keeps_what_was_typed(
    visitor: Visitor, live_desk: Desk
) -> None:
    ticket = live_desk.ticket()
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    visitor.page.get_by_label("Status", exact=True).select_option("resolved")
    visitor.page.get_by_label("Resolution notes").fill("New cable")
    visitor.press("Set status")
    visitor.page.locator("#form-errors").wait_for()
    assert visitor.page.get_by_label("Resolution notes").input_value() == "New cable"
    visitor.page.get_by_label("Resolution code").select_option("Solution provided")
    visitor.press("Set status")
    visitor.page.get_by_text("Open → Resolved").wait_for()


def test_the_first_press_resolves(either: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket()
    either.sign_in("agent")
    either.go(f"/tickets/{ticket.id}")
    notes = either.page.get_by_label("Resolution notes")
    assert not notes.is_visible()
    either.page.get_by_label("Status", exact=True).select_option("resolved")
    notes.fill("New cable")
    either.page.get_by_label("Resolution code").select_option("Solution provided")
    either.press("Set status")
    either.page.get_by_text("Open → Resolved").wait_for()


def test_an_account_is_deactivated_after_a_question(either: Visitor, live_desk: Desk) -> None:
    either.sign_in("admin")
    either.go("/admin/users")
    row = either.page.locator("tr", has_text="requester@example.com")
    button = row.get_by_role("button", name="Deactivate account requester")
    assert not button.is_visible()
    row.locator("summary", has_text="Deactivate").click()
    assert row.get_by_text("They are logged out immediately").is_visible()
    button.click()
    row.get_by_text("Inactive", exact=True).wait_for()


def test_a_reload_after_a_form_error_shows_the_ticket(either: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket()
    either.sign_in("agent")
    either.go(f"/tickets/{ticket.id}")
    either.page.get_by_label("Status", exact=True).select_option("resolved")
    either.press("Set status")
    either.page.locator("#form-errors").wait_for()
    either.page.goto(either.page.url)
    either.page.get_by_role("heading", name="The printer is on fire").wait_for()


def test_the_tick_follows_the_kind_of_note(
    either: Visitor, live_desk: Desk, instance: Instance
) -> None:
    visitor = either
    ticket = live_desk.ticket()
    live_desk.services.servicenow.push.create_from_ticket(ticket.id, by="a@example.com")
    settled(live_desk.services.servicenow, ticket.id)
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    send = visitor.page.locator("input[name=send]:visible")
    assert send.is_checked()
    visitor.page.get_by_label("Reply to abel.tuter@example.com").check()
    assert not send.is_checked()
    visitor.page.get_by_label("Internal note").check()
    assert send.is_checked()


def test_a_lost_session_leads_to_the_log_in(visitor: Visitor, live_desk: Desk) -> None:
    visitor.sign_in("agent")
    # A page that asks for nothing by itself: another would lead there before the click.
    visitor.go("/tickets")
    visitor.page.context.clear_cookies()
    visitor.page.get_by_label("Search").fill("printer")
    visitor.page.wait_for_url(re.compile("/login"))
    assert visitor.page.get_by_label("Password").is_visible()


def test_a_page_that_asks_for_its_cards_by_itself_lets_an_idle_session_end(
    visitor: Visitor, live_desk: Desk, live: Live, instance: Instance, settings: Settings
) -> None:
    def last_active(hours: float) -> datetime:
        moment = utc_now() - timedelta(hours=hours)
        with writing(live.app.state.engine) as conn:
            conn.execute(sessions.update().values(last_active_at=moment))
        return moment

    service, ticket = live_desk.services.servicenow, live_desk.ticket()
    service.outbox.pause("For a test", by="admin@example.com")
    service.push.create_from_ticket(ticket.id, by="desk@example.com")
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    # What the page asks for when it is opened belongs to the opening.
    visitor.page.wait_for_load_state("networkidle")
    before = last_active(hours=settings.session_idle_hours - 1)
    with visitor.page.expect_response(re.compile("/push$"), timeout=30_000) as answer:
        pass
    assert answer.value.status == 200
    with reading(live.app.state.engine) as conn:
        assert conn.execute(select(sessions.c.last_active_at)).scalar_one() == before
    last_active(hours=settings.session_idle_hours)
    visitor.page.wait_for_url(re.compile("/login"), timeout=30_000)


def test_a_push_is_edited_in_the_dialog_and_sent_from_the_outbox(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    instance.use_close_codes(("Fixed", "Not fixed"))
    ticket = live_desk.ticket(status="resolved")
    live_desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    settled(live_desk.services.servicenow, ticket.id)
    visitor.sign_in("agent")
    visitor.go("/servicenow/outbox?state=blocked")
    visitor.follow("Edit and send")
    visitor.page.get_by_label("ServiceNow resolution code").select_option("Fixed")
    visitor.press("Send update")
    visitor.page.locator("#outbox-table").get_by_text("Done", exact=True).wait_for()
    assert visitor.page.locator("dialog[open]").count() == 0
    assert [one["close_code"] for one in instance.incidents.values()] == ["Fixed"]
    visitor.go("/servicenow/history")
    visitor.page.get_by_text("Blocked", exact=True).last.wait_for()


def test_an_admin_pauses_and_resumes_without_leaving_the_page(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    visitor.sign_in("admin")
    visitor.go("/servicenow/outbox")
    visitor.page.locator("summary", has_text="Pause sending").click()
    visitor.page.get_by_label("Reason").fill("The instance is upgraded")
    visitor.press("Pause sending")
    visitor.page.get_by_text("The instance is upgraded").wait_for()
    visitor.press("Resume sending")
    visitor.page.get_by_text("Sending automatically.").wait_for()


def test_the_connection_test_shows_its_steps_by_itself(
    visitor: Visitor, live_desk: Desk, instance: Instance
) -> None:
    visitor.sign_in("agent")
    visitor.go("/servicenow")
    visitor.press("Test connection")
    visitor.page.get_by_text("Restored or copied").wait_for()
    visitor.page.get_by_text("Running the next step.").wait_for(state="detached")
    assert visitor.page.locator("#connection-steps li").count() == 13
