"""Times on pages: in the reader's zone, with their age and UTC; JSON and CSV stay in UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.engine import writing
from app.display import ZONE_COOKIE, age, when
from tests.conftest import Clock, SignIn
from tests.desk import Desk
from tests.html import Element, soup

BERLIN = ZoneInfo("Europe/Berlin")


def opened(browser: TestClient, ticket_id: int) -> Element:
    """The time at which a ticket was opened, as its page shows it."""
    shown = soup(browser.get(f"/tickets/{ticket_id}").text).select_one("#ticket-facts time")
    assert shown
    return shown


def browser_in(browser: TestClient, zone: str) -> TestClient:
    browser.cookies.set(ZONE_COOKIE, zone)
    return browser


def choose(browser: TestClient, zone: str) -> int:
    return browser.post(
        "/account/profile", data={"display_name": "Ann", "time_zone": zone}
    ).status_code


# -- the element ------------------------------------------------------------------------------


def test_a_time_of_today_is_shown_without_its_date(
    agent: TestClient, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    clock.forward(minutes=3)
    shown = opened(agent, ticket.id)
    assert shown.get_text() == "09:00, 3 min ago"
    assert shown["title"] == "2026-11-24 09:00:00 UTC"
    assert shown["datetime"] == "2026-11-24T09:00:00+00:00"
    assert [part.get_text() for part in shown.select(".age")] == ["3 min ago"]


def test_the_date_is_added_from_the_next_day_on(
    agent: TestClient, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    clock.forward(hours=26)
    assert opened(agent, ticket.id).get_text() == "2026-11-24 09:00, 1 d ago"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_400, "1 d ago"),
        (-1, "in less than 1 min"),
        (-60, "in 1 min"),
        (-90_000, "in 1 d"),
    ],
)
def test_an_age_has_one_rounded_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("moment", "local"),
    [
        # Summer time begins on 29 March at 01:00 UTC and ends on 25 October at 01:00 UTC.
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "2026-03-29 01:59"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "2026-03-29 03:00"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "2026-10-25 02:30"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25 02:30"),
        (datetime(2026, 10, 25, 2, 0, tzinfo=UTC), "2026-10-25 03:00"),
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "9999-12-31 23:59"),
    ],
)
def test_summer_time_is_that_of_the_day_shown(moment: datetime, local: str) -> None:
    shown = soup(str(when(moment, BERLIN, datetime(2026, 11, 24, tzinfo=UTC))))
    assert shown.get_text().startswith(f"{local}, ")
    assert str(shown.select_one("time[title]")).count(f"{moment:%Y-%m-%d %H:%M}:00 UTC") == 1


def test_an_age_across_a_change_of_the_clocks_counts_hours_that_passed() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    shown = soup(str(when(before, BERLIN, before + timedelta(hours=2))))
    assert shown.get_text() == "01:30, 2 h ago"


def test_today_is_the_day_of_the_reader() -> None:
    moment = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)
    now = moment + timedelta(hours=1)
    assert soup(str(when(moment, UTC, now))).get_text() == "22:30, 1 h ago"
    assert soup(str(when(moment, BERLIN, now))).get_text() == "2026-11-24 23:30, 1 h ago"


# -- whose zone -------------------------------------------------------------------------------


def test_the_zone_is_the_accounts_own_else_the_browsers_else_that_of_the_app(
    agent: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket()
    assert opened(agent, ticket.id).get_text().startswith("09:00")
    browser_in(agent, "Asia/Tokyo")
    assert opened(agent, ticket.id).get_text().startswith("18:00")
    assert choose(agent, "America/New_York") == 200
    assert opened(agent, ticket.id).get_text().startswith("04:00")
    assert choose(agent, "") == 200
    assert opened(agent, ticket.id).get_text().startswith("18:00")


@pytest.mark.parametrize(
    "junk",
    [
        "Mars/Olympus",
        "Europe",
        "../../etc/passwd",
        "/etc/localtime",
        "a" * 4000,
        "%00",
        '"\\000"',
        "\\",
        "Europe/Berlin\\073",
        "<script>",
    ],
)
def test_a_zone_cookie_that_means_nothing_is_ignored(
    agent: TestClient, desk: Desk, junk: str
) -> None:
    ticket = desk.ticket()
    assert opened(browser_in(agent, junk), ticket.id).get_text().startswith("09:00")


def test_a_cookie_of_other_bytes_is_ignored(requester: TestClient) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in requester.cookies.items())
    header = f"{cookies}; {ZONE_COOKIE}=".encode() + b"\xff\xfe\xc3"
    assert requester.get("/account", headers={b"Cookie": header}).status_code == 200


def test_a_kept_zone_that_is_unknown_today_is_ignored(
    app: FastAPI, agent: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket()
    with writing(app.state.engine) as conn:
        conn.execute(text("UPDATE users SET time_zone = 'Europe/Atlantis'"))
    assert opened(agent, ticket.id).get_text().startswith("09:00")
    assert agent.get("/account").status_code == 200


def test_the_account_page_offers_zones_and_keeps_the_choice(requester: TestClient) -> None:
    page = soup(requester.get("/account").text)
    offered = [str(one.get("value", one.get_text())) for one in page.select("#time_zone option")]
    assert offered[:2] == ["", "UTC"]
    assert {"Europe/Berlin", "America/Argentina/Buenos_Aires"} <= set(offered)
    answer = soup(
        requester.post(
            "/account/profile", data={"display_name": "Ann", "time_zone": "Europe/Berlin"}
        ).text
    )
    assert answer.select_one("#profile-saved")
    for shown in (answer, soup(requester.get("/account").text)):
        chosen = shown.select("#time_zone option[selected]")
        assert [one.get_text() for one in chosen] == ["Europe/Berlin"]
        hint = shown.select_one("#time_zone-hint")
        assert hint
        assert hint.get_text() == "Times are currently shown in Europe/Berlin."


def test_a_zone_that_is_not_offered_is_refused_beside_its_field(requester: TestClient) -> None:
    answer = requester.post(
        "/account/profile", data={"display_name": "Ann", "time_zone": "Mars/Olympus"}
    )
    assert answer.status_code == 422
    page = soup(answer.text)
    field = page.select_one("#time_zone[aria-invalid]")
    error = page.select_one("#time_zone-error")
    assert field
    assert error
    assert "time_zone-error" in str(field["aria-describedby"])
    assert not page.select("#time_zone option[selected]")


def test_the_login_page_has_a_zone_too(app: FastAPI) -> None:
    browser = browser_in(TestClient(app), "Asia/Tokyo")
    assert browser.get("/login").status_code == 200


# -- elsewhere --------------------------------------------------------------------------------


def test_json_and_csv_are_in_utc_for_every_reader(
    agent: TestClient, desk: Desk, sign_in: SignIn
) -> None:
    ticket = desk.ticket()
    desk.services.servicenow.push.create_from_ticket(ticket.id, by=desk.user.email)
    browser_in(agent, "Asia/Tokyo")
    assert choose(agent, "Asia/Tokyo") == 200
    told = agent.get(f"/api/tickets/{ticket.id}").json()
    assert told["created_at"] == "2026-11-24T09:00:00Z"
    lines = agent.get("/servicenow/history.csv").text.splitlines()
    assert lines[1].split(",")[1] == "2026-11-24T09:00:00+00:00"


def test_the_days_of_a_search_in_the_history_are_those_of_the_reader(
    agent: TestClient, desk: Desk, clock: Clock
) -> None:
    clock.moment = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
    ticket = desk.ticket()
    desk.services.servicenow.push.create_from_ticket(ticket.id, by=desk.user.email)

    def found(day: str) -> int:
        page = soup(agent.get(f"/servicenow/history?since={day}&until={day}").text)
        return len(page.select("#history-table tbody tr"))

    assert (found("2026-11-24"), found("2026-11-25")) == (1, 0)
    browser_in(agent, "Asia/Tokyo")
    assert (found("2026-11-24"), found("2026-11-25")) == (0, 1)
    assert found("9999-12-31") == found("0001-01-01") == 1
