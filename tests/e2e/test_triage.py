"""Predictions in a real Chromium: one click, with scripts on and with scripts off."""

from tests.desk import Desk
from tests.e2e.conftest import Visitor


def test_a_prediction_is_accepted_and_replaced_with_one_click(
    either: Visitor, live_desk: Desk
) -> None:
    ticket = live_desk.ticket("VPN does not connect from home", "The VPN client times out.")
    either.sign_in("agent")
    either.go(f"/tickets/{ticket.id}")
    card = either.page.locator("#prediction-category")
    card.get_by_role("button", name="Accept category network").click()
    card.get_by_text("Accepted by agent").wait_for()
    card.get_by_label("New category").select_option("access")
    card.get_by_role("button", name="Change category").click()
    card.get_by_text("Corrected to access by agent").wait_for()


def test_a_field_goes_into_the_shadow(either: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket("VPN does not connect from home", "The VPN client times out.")
    either.sign_in("admin")
    either.go("/admin/copilot")
    either.page.locator("#modes").get_by_label("Shadow").first.check()
    either.press("Save category mode")
    either.page.get_by_text("Category mode set to shadow").wait_for()
    either.go(f"/tickets/{ticket.id}")
    assert either.page.locator("#prediction-priority").count() == 1
    assert either.page.locator("#prediction-category").count() == 0
