"""Guessing is slowed down; the owner of an account always gets in."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from app.db.engine import writing
from app.db.tables import login_attempts
from app.errors import Invalid, TooManyAttempts
from app.logs import JsonLines
from app.models.accounts import Role
from app.routes import account as account_routes
from app.security import DEVICE_COOKIE, SESSION_COOKIE
from app.services.accounts.throttle import Source, Throttle
from tests.conftest import PASSWORD, SAME_ORIGIN, Clock, account, signed_in

HERE = Source("203.0.113.7")
ELSEWHERE = Source("198.51.100.1")
OWNER = "owner@example.com"


@pytest.fixture
def throttle(engine: Engine, clock: Clock) -> Throttle:
    return Throttle(engine, now=clock)


def fail(throttle: Throttle, source: Source, name: str = OWNER) -> int:
    """One wrong password; answers the seconds to wait, 0 when it was checked."""
    try:
        with throttle.attempt(name, source):
            raise Invalid("wrong")
    except TooManyAttempts as exc:
        return exc.retry_after
    except Invalid:
        return 0


def works(throttle: Throttle, source: Source, name: str = OWNER) -> bool:
    try:
        with throttle.attempt(name, source):
            return True
    except TooManyAttempts:
        return False


@pytest.mark.parametrize("attacker", [ELSEWHERE, HERE])
def test_thirty_five_wrong_attempts_in_six_hours_keep_nobody_out(
    throttle: Throttle, clock: Clock, attacker: Source
) -> None:
    refused = 0
    for _ in range(35):
        fail(throttle, attacker)
        refused += not works(throttle, Source(HERE.address, device="never seen"))
        refused += not works(throttle, HERE)
        clock.forward(minutes=10, seconds=17)
    assert refused == 0


def test_a_stranger_elsewhere_never_delays_the_owner(throttle: Throttle) -> None:
    waits = [fail(throttle, ELSEWHERE) for _ in range(20)]
    assert waits[:5] == [0] * 5
    assert all(waits[5:])
    assert works(throttle, HERE)


def test_a_network_counts_as_one_address(throttle: Throttle) -> None:
    waits = [fail(throttle, Source(f"2001:db8::{number:x}")) for number in range(10)]
    assert all(waits[5:])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10
)
@given(pauses=st.lists(st.integers(0, 1200), min_size=10, max_size=40))
def test_after_the_wait_the_right_password_always_works(engine: Engine, pauses: list[int]) -> None:
    with writing(engine) as conn:
        conn.execute(delete(login_attempts))
    clock = Clock()
    throttle = Throttle(engine, now=clock)
    for pause in pauses:
        assert fail(throttle, HERE) <= timedelta(minutes=15).total_seconds()
        clock.forward(seconds=pause)
    clock.forward(minutes=15)
    assert works(throttle, HERE)


def test_an_address_waits_whatever_the_account(throttle: Throttle, clock: Clock) -> None:
    waits = [fail(throttle, HERE, f"{number}@example.com") for number in range(40)]
    assert not any(waits[:30])
    assert all(waits[30:])
    assert works(throttle, ELSEWHERE)
    clock.forward(seconds=waits[-1] + 1)
    assert works(throttle, HERE)


def test_people_behind_an_unknown_proxy_wait_seconds_at_most(
    throttle: Throttle, clock: Clock
) -> None:
    proxy = Source("172.16.0.9", shared=True)
    waits = [fail(throttle, proxy, f"{number}@example.com") for number in range(60)]
    assert not any(waits[:50])
    for number in range(60):
        wait = fail(throttle, proxy, f"later-{number}@example.com")
        assert wait <= 5
        clock.forward(seconds=wait)


def test_a_known_device_has_its_own_count_of_five(throttle: Throttle, clock: Clock) -> None:
    device = Source(HERE.address, device="a1b2")
    while not fail(throttle, HERE):
        pass
    assert works(throttle, device)
    assert not works(throttle, HERE)
    waits = [fail(throttle, device) for _ in range(6)]
    assert waits[:5] == [0] * 5
    assert waits[5]
    assert works(throttle, Source(HERE.address, device="c3d4"))


def test_a_stolen_device_cookie_does_not_delay_its_owner(throttle: Throttle) -> None:
    thief = Source(ELSEWHERE.address, device="a1b2")
    while not fail(throttle, thief):
        pass
    assert works(throttle, Source(HERE.address, device="a1b2"))
    assert not works(throttle, thief)


def test_a_known_device_gets_in_while_strangers_guess_behind_the_same_unknown_proxy(
    throttle: Throttle,
) -> None:
    proxy = Source("172.16.0.9", shared=True)
    for number in range(60):
        fail(throttle, proxy, f"{number}@example.com")
    assert not works(throttle, proxy)
    assert works(throttle, Source(proxy.address, shared=True, device="a1b2"))


def test_a_known_device_does_not_lift_the_wait_of_an_address(throttle: Throttle) -> None:
    for number in range(40):
        fail(throttle, HERE, f"{number}@example.com")
    assert not works(throttle, Source(HERE.address, device="a1b2"))


# -- by the log-in page ----------------------------------------------------------------------


@pytest.fixture
def browser(app: FastAPI) -> TestClient:
    account(app, OWNER, Role.AGENT)
    account(app, "other@example.com", Role.AGENT)
    return new_browser(app)


def new_browser(app: FastAPI) -> TestClient:
    return TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)


def log_in(browser: TestClient, password: str = PASSWORD, email: str = OWNER) -> Any:
    return browser.post("/login", data={"email": email, "password": password})


def locked_by(attacker: TestClient, email: str = OWNER) -> None:
    while log_in(attacker, "wrong", email).status_code != 429:
        pass


def cookie(response: Any, name: str) -> str:
    headers = response.headers.get_list("Set-Cookie")
    return next((text for text in headers if text.startswith(f"{name}=")), "")


def test_the_device_cookie_lifts_the_wait_of_its_account_only(
    app: FastAPI, browser: TestClient
) -> None:
    first = log_in(browser)
    set_cookie = cookie(first, DEVICE_COOKIE).lower()
    assert "httponly" in set_cookie
    assert f"max-age={90 * 86400}" in set_cookie
    locked_by(new_browser(app))
    locked_by(new_browser(app), "other@example.com")
    refused = log_in(new_browser(app))
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert log_in(browser, email="other@example.com").status_code == 429
    assert log_in(browser).status_code == 303


def test_the_device_cookie_ends_with_its_time_and_its_password(
    app: FastAPI, browser: TestClient, clock: Clock
) -> None:
    log_in(browser)
    changed = {"current": PASSWORD, "new": "a much better password"}
    assert browser.post("/account/password", data=changed).status_code == 200
    locked_by(new_browser(app))
    assert log_in(browser, changed["new"]).status_code == 429
    clock.forward(hours=2)
    log_in(browser, changed["new"])
    clock.forward(days=89)
    locked_by(new_browser(app))
    assert log_in(browser, changed["new"]).status_code == 303
    clock.forward(days=91)
    locked_by(new_browser(app))
    assert log_in(browser, changed["new"]).status_code == 429


def test_a_forged_device_cookie_is_none(app: FastAPI, browser: TestClient) -> None:
    log_in(browser)
    real = browser.cookies[DEVICE_COOKIE]
    locked_by(new_browser(app))
    for forged in (real[:-2] + "xx", "x" + real, "1.2.3.4", "..", ""):
        other = new_browser(app)
        other.headers["Cookie"] = f"{DEVICE_COOKIE}={forged}"
        assert log_in(other).status_code == 429


def test_a_new_log_in_ends_the_older_session_of_the_browser(
    app: FastAPI, browser: TestClient
) -> None:
    log_in(browser)
    older = new_browser(app)
    older.cookies.set(SESSION_COOKIE, browser.cookies[SESSION_COOKIE])
    elsewhere = signed_in(app, "agent")
    assert older.get("/tickets").status_code == 200
    log_in(browser, email="other@example.com")
    assert older.get("/tickets").status_code == 303
    assert browser.get("/tickets").status_code == elsewhere.get("/tickets").status_code == 200


@pytest.fixture
def occupied(app: FastAPI, portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both places for password checks are taken."""
    monkeypatch.setattr(account_routes, "HASH_WAIT_SECONDS", 0.01)
    slots = app.state.password_checks
    for _ in range(2):
        portal.call(slots.acquire)
    return slots


def test_a_third_password_check_waits_and_is_then_refused(
    browser: TestClient, occupied: Any, app: FastAPI, portal: BlockingPortal
) -> None:
    account_page = signed_in(app, "agent")
    reset = f"/reset/{app.state.services.accounts.reset_token(1)}"
    changed = {"current": PASSWORD, "new": "a much better password"}
    answers = [
        log_in(browser),
        browser.post(reset, data={"password": PASSWORD}),
        account_page.post("/account/password", data=changed),
    ]
    assert [answer.status_code for answer in answers] == [429] * 3
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    portal.call(occupied.release)
    assert [log_in(browser).status_code for _ in range(3)] == [303] * 3
    assert occupied.value == 1


def test_failed_log_ins_are_logged_without_what_was_typed(
    app: FastAPI, browser: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log_in(browser, "Canary-wrong-1")
    log_in(browser, "x", email="Canary@p4ss")
    locked_by(browser)
    log_in(browser)
    lines = [JsonLines().format(record) for record in caplog.records]
    assert "canary" not in "".join(lines).casefold()
    found = [json.loads(line) for line in lines if "log-in failed" in line]
    first = {name: found[0][name] for name in ("account", "address", "reason")}
    assert first == {"account": OWNER, "address": "testclient", "reason": "invalid"}
    assert found[1]["account"] == ""
    assert found[-1]["reason"] == "too_many_attempts"
