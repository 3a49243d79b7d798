"""Sessions: how they end, who sees them, and what their cookie is called."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.copilot.engine import TriageEngine
from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.main import create_app
from app.models.accounts import Role
from app.security import SECURE_PREFIX, SESSION_COOKIE
from app.services.accounts.sessions import browser_name
from app.settings import Settings
from tests.conftest import HTMX, PASSWORD, SAME_ORIGIN, Clock, account
from tests.desk import Desk
from tests.html import find, soup

ROOT = Path(__file__).resolve().parent.parent
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"
)
Visit = Callable[..., TestClient]


@pytest.fixture
def desk_app(
    settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine
) -> Iterator[FastAPI]:
    """An app with the default idle time-out."""
    usual = replace(settings, session_idle_hours=Settings().session_idle_hours)
    app = create_app(usual, load_triage=lambda: triage, now=clock, engine=engine)
    account(app, "agent@example.com", Role.AGENT)
    yield app
    app.state.services.servicenow.close()


@pytest.fixture
def visit(desk_app: FastAPI) -> Visit:
    """A browser that has logged in."""

    def browser(user_agent: str = FIREFOX, address: str = "203.0.113.7") -> TestClient:
        headers = {**SAME_ORIGIN, "user-agent": user_agent}
        client = TestClient(
            desk_app, headers=headers, follow_redirects=False, client=(address, 4711)
        )
        log_in(client)
        return client

    return browser


def log_in(client: TestClient, password: str = PASSWORD) -> str:
    data = {"email": "agent@example.com", "password": password}
    answer = client.post("/login", data=data)
    assert answer.status_code == 303
    return str(answer.headers["Set-Cookie"])


def is_in(client: TestClient, path: str = "/tickets", **options: object) -> bool:
    return bool(client.get(path, **options).status_code == 200)  # type: ignore[arg-type]


def test_a_session_ends_after_twelve_idle_hours(visit: Visit, clock: Clock) -> None:
    browser = visit()
    for _ in range(3):
        clock.forward(hours=11, minutes=58)
        assert is_in(browser)
    clock.forward(hours=12)
    assert not is_in(browser)


def test_a_session_in_use_ends_after_two_weeks(visit: Visit, clock: Clock) -> None:
    browser = visit()
    for _ in range(30):
        clock.forward(hours=11)
        assert is_in(browser)
    clock.forward(hours=5, minutes=59)
    assert is_in(browser)
    clock.forward(minutes=1)
    assert not is_in(browser)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/servicenow", {"X-Polling": "true", **HTMX}), ("/servicenow?polling=1", {})],
)
def test_polling_is_no_activity(
    visit: Visit, clock: Clock, path: str, headers: dict[str, str]
) -> None:
    browser = visit()
    for _ in range(11):
        clock.forward(hours=1)
        assert is_in(browser, path, headers=headers)
    clock.forward(hours=1)
    assert not is_in(browser, path, headers=headers)


def polls_of(page: Any) -> list[tuple[str, dict[str, str]]]:
    """What a page asks for by itself: by htmx, or by a refresh with scripts off."""
    parts = page.select("[hx-get][hx-trigger^='load delay'], [hx-get][hx-trigger*=every]")
    refreshes = page.select("meta[http-equiv=refresh]")
    return [
        *((part["hx-get"], HTMX | json.loads(part.get("hx-headers", "{}"))) for part in parts),
        *((tag["content"].partition("url=")[2], {}) for tag in refreshes),
    ]


def test_what_pages_ask_for_by_themselves_is_no_activity(
    desk_app: FastAPI, visit: Visit, clock: Clock
) -> None:
    service, ticket = desk_app.state.services.servicenow, Desk(desk_app).ticket()
    service.outbox.pause("For a test", by="admin@example.com")
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    service.imports.start(by="admin@example.com", limit=10)
    browser = visit()
    polls = [
        poll
        for path in (f"/tickets/{ticket.id}", "/servicenow")
        for poll in polls_of(soup(browser.get(path).text))
    ]
    asked = {path for path, _ in polls}
    assert {f"/servicenow/tickets/{ticket.id}/push", "/servicenow?polling=1"} <= asked
    for _ in range(11):
        clock.forward(hours=1)
        assert all(is_in(browser, path, headers=headers) for path, headers in polls)
    clock.forward(hours=1)
    assert not any(is_in(browser, path, headers=headers) for path, headers in polls)
    assert not is_in(browser)


def test_every_part_that_polls_says_so() -> None:
    polls = 0
    for path in [*(ROOT / "partials").rglob("*.html"), *(ROOT / "templates").rglob("*.html")]:
        for tag in re.findall(r"<[a-z][^<]*", path.read_text(encoding="utf-8")):
            if re.search(r'hx-trigger="[^"]*(every |load[^"]* delay:)', tag):
                polls += 1
                assert """hx-headers='{"X-Polling": "true"}'""" in tag, path
            if 'http-equiv="refresh"' in tag:
                polls += 1
                assert "polling=1" in tag, path
    assert polls >= 7


def test_the_account_page_lists_sessions_and_ends_one(visit: Visit) -> None:
    here = visit(FIREFOX, "203.0.113.7")
    phone = visit(SAFARI, "198.51.100.1")
    rows = soup(here.get("/account").text).select("#sessions-card tbody tr")
    shown = {find(row, "td").get_text(" ", strip=True): row for row in rows}
    assert set(shown) == {"Firefox on Windows This browser", "Safari on iPhone"}
    theirs = shown["Safari on iPhone"]
    assert "198.51.100.1" in theirs.get_text()
    assert not shown["Firefox on Windows This browser"].select("form")
    end = str(find(theirs, "form")["action"])
    card = soup(here.post(end, headers=HTMX).text)
    assert len(card.select("#sessions-card tbody tr")) == 1
    assert not is_in(phone)
    assert is_in(here)
    assert here.post(end).status_code == 404


def test_a_session_can_be_ended_with_scripts_off(visit: Visit) -> None:
    here, other = visit(), visit(EDGE)
    page = soup(here.get("/account").text)
    answer = here.post(str(find(page, "#sessions-card form")["action"]))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    assert not is_in(other)


def test_a_session_of_somebody_else_cannot_be_ended(desk_app: FastAPI, visit: Visit) -> None:
    other = account(desk_app, "other@example.com", Role.ADMIN)
    sessions = desk_app.state.services.accounts.sessions
    cookie = sessions.open(other)
    assert visit().post(f"/account/sessions/{sessions.key(cookie)}/end").status_code == 404
    assert sessions.user(cookie) == other


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (SAFARI, "Safari on iPhone"),
        (EDGE, "Edge on macOS"),
        ("curl/8.5", "Unknown browser"),
        ("<script>alert(1)</script>" * 100, "Unknown browser"),
    ],
)
def test_of_a_browser_its_name_is_kept(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


def test_under_https_the_cookie_is_bound_to_its_host(
    settings: Settings, triage: TriageEngine, engine: Engine
) -> None:
    public = replace(settings, public_url="https://desk.example.com")
    app = create_app(public, load_triage=lambda: triage, engine=engine)
    account(app, "agent@example.com", Role.AGENT)
    browser = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    cookie = log_in(browser)
    name, _, value = cookie.partition("=")
    assert name == f"{SECURE_PREFIX}{SESSION_COOKIE}"
    assert {"Secure", "Path=/", "HttpOnly"} <= set(cookie.split("; "))
    assert "domain" not in cookie.casefold()
    session = value.partition(";")[0]
    for known, expected in ((name, 200), (SESSION_COOKIE, 303)):
        fresh = TestClient(app, headers={"Cookie": f"{known}={session}"}, follow_redirects=False)
        assert fresh.get("/tickets").status_code == expected
    fresh = TestClient(app, headers={"Cookie": f"{name}={session}", **SAME_ORIGIN})
    out = fresh.post("/logout", follow_redirects=False).headers["Set-Cookie"]
    assert out.startswith(f'{name}=""')
    assert "Secure" in out
    app.state.services.servicenow.close()


def test_a_trusted_proxy_says_that_https_is_used(desk_app: FastAPI) -> None:
    headers = SAME_ORIGIN | {"X-Forwarded-Proto": "https"}
    behind = TestClient(desk_app, headers=headers, client=("127.0.0.1", 1), follow_redirects=False)
    assert log_in(behind).startswith(SECURE_PREFIX)


def test_whoever_is_logged_in_stays_so_after_an_upgrade(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(engine, "0032")
    with writing(engine) as conn:
        conn.execute(
            text(
                "INSERT INTO users (id, email, password_hash, role, created_at)"
                " VALUES (1, 'a@example.com', '!', 'admin', '2026-01-01 00:00:00.000000')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO sessions (key_hash, user_id, created_at, expires_at) VALUES"
                " ('k', 1, '2026-01-01 00:00:00.000000', '2026-01-15 00:00:00.000000')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO api_tokens (user_id, name, prefix, token_hash, created_at)"
                " VALUES (1, 'cron', 'hd_abc', 'h', '2026-01-01 00:00:00.000000')"
            )
        )
    migrate.upgrade(engine)
    with reading(engine) as conn:
        active = conn.execute(text("SELECT last_active_at FROM sessions")).scalar_one()
        token = conn.execute(text("SELECT scope, expires_at FROM api_tokens")).one()
    assert active > "2026-01-01"
    assert tuple(token) == ("admin", None)
    engine.dispose()
