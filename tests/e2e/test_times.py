"""Times in a browser: its own zone without asking, and ages that stay true on an open page."""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.display import age
from app.simulator import Instance
from tests.conftest import Live
from tests.desk import Desk
from tests.e2e.conftest import Visitor

TOKYO = "Asia/Tokyo"


@pytest.fixture
def traveller(chromium: Any, live: Live, instance: Instance) -> Iterator[Visitor]:
    """A window on a machine in Tokyo."""
    with chromium.new_context(timezone_id=TOKYO) as context:
        context.set_default_timeout(10_000)
        made = Visitor(context, live.url)
        made.page.clock.install()
        yield made
        assert made.complaints == []


def test_times_are_in_the_zone_of_the_browser(traveller: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket()
    traveller.sign_in("requester")
    traveller.go("/account")
    hint = traveller.page.locator("#time_zone-hint")
    assert hint.inner_text() == f"Times are currently shown in {TOKYO}."
    shown = traveller.page.locator("dl time").first
    local = ticket.created_at.astimezone(ZoneInfo(TOKYO))
    assert shown.inner_text().startswith(f"{local:%H}:")


def test_ages_stay_true_on_an_open_page(traveller: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket()
    traveller.sign_in("agent")
    traveller.go(f"/tickets/{ticket.id}")
    ages = traveller.page.locator("#ticket-facts time .age")
    assert ages.all_inner_texts() == ["just now", "just now"]
    # What the page still asks for would time out with the clock.
    traveller.page.wait_for_load_state("networkidle")
    traveller.page.clock.fast_forward("10:30")
    assert ages.all_inner_texts() == ["10 min ago", "10 min ago"]
    assert ages.first.get_attribute("aria-live") == "off"


def test_the_page_and_the_server_word_ages_alike(traveller: Visitor) -> None:
    traveller.go("/login")
    lengths = [0, 59, 60, 61, 3599, 3600, 7300, 86_399, 86_400, 40 * 86_400]
    seconds = [*lengths, *(-one for one in lengths[1:]), -0.5]
    assert traveller.page.evaluate("all => all.map(age)", seconds) == [age(one) for one in seconds]
