"""A choice between both sides, made in a browser, scripts on and off."""

import pytest

from app.simulator import Instance
from tests.both_sides import BothSides, settled
from tests.desk import Desk
from tests.e2e.conftest import Visitor


@pytest.mark.parametrize("width", [1280, 390])
def test_an_agent_chooses_per_field(
    either: Visitor, live_desk: Desk, instance: Instance, width: int
) -> None:
    both = BothSides(live_desk, instance)
    both.there(
        short_description="Mail is down in the whole building since nine", category="software"
    )
    both.here(subject="All mail is down", category="hardware")
    both.service.push.sync(both.id, by=live_desk.user.email)
    settled(both.service, both.id)
    either.page.set_viewport_size({"width": width, "height": 800})
    either.sign_in("agent")
    either.go("/tickets?conflict=yes")
    either.follow(str(both.id))
    either.page.wait_for_load_state()
    card = either.page.locator("#conflict-card")
    card.wait_for()
    wider = either.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider <= 0
    card.get_by_label("Use ServiceNow's for subject").check()
    card.get_by_label("Keep this for category").check()
    either.press("Save choices")
    either.page.get_by_role("heading", name="since nine").wait_for()
    assert card.count() == 0
    assert both.ticket.category == "hardware"
    assert both.incident["category"] == "hardware"
