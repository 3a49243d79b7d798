"""Signing in and out, passwords, reset links, tokens, and what other sites may not do."""

import re
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.copilot.engine import TriageEngine
from app.errors import Conflict
from app.main import create_app
from app.models.accounts import Role
from app.security import local_path
from app.settings import Settings
from tests.conftest import HTMX, PASSWORD, SAME_ORIGIN, Clock, SignIn, signed_in
from tests.desk import Desk
from tests.html import find, soup


@pytest.fixture
def browser(app: FastAPI) -> TestClient:
    """A browser that nobody has signed in with."""
    app.state.services.accounts.create_user("agent@example.com", Role.AGENT, PASSWORD)
    return TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)


def log_in(browser: TestClient, password: str = PASSWORD, **form: str) -> int:
    data = {"email": "Agent@Example.com", "password": password} | form
    return browser.post("/login", data=data).status_code


def test_a_page_leads_to_the_log_in_and_back(browser: TestClient) -> None:
    first = browser.get("/tickets?status=open")
    assert first.status_code == 303
    form = soup(browser.get(first.headers["Location"]).text)
    target = str(find(form, "input[name=next]")["value"])
    assert target == "/tickets?status=open"
    data = {"email": "agent@example.com", "password": PASSWORD, "next": target}
    assert browser.post("/login", data=data).headers["Location"] == target
    assert browser.get(target).status_code == 200


def test_htmx_without_a_session_is_sent_to_the_log_in(browser: TestClient) -> None:
    response = browser.get("/tickets", headers=HTMX)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")


@pytest.mark.parametrize(
    ("shown", "target"),
    [
        ("http://testserver/tickets/7?a=b#x", "/login?next=/tickets/7%3Fa%3Db"),
        ("http://testserver/", "/login"),
        ("http://[bad/", "/login"),
    ],
)
def test_htmx_leads_back_to_the_page_that_was_shown(
    browser: TestClient, shown: str, target: str
) -> None:
    response = browser.post("/tickets/7/notes", headers=HTMX | {"HX-Current-URL": shown})
    assert response.headers["HX-Redirect"] == target


@pytest.mark.parametrize(
    ("form", "page", "without_referer"),
    [
        ("/tickets", "/tickets/new", "/tickets"),
        ("/tickets/7/edit", "/tickets/7", "/tickets/7"),
        ("/tickets/7/status", "/tickets/7", "/tickets/7"),
        ("/ask", "/ask", "/ask"),
        ("/ask/ticket", "/ask", "/ask"),
        ("/articles", "/articles/new", "/articles"),
        ("/articles/vpn-drops/edit", "/articles/vpn-drops/edit", "/articles/vpn-drops/edit"),
        (
            "/servicenow/outbox/7/edit",
            "/servicenow/outbox/7?back=/servicenow/outbox",
            "/servicenow/outbox",
        ),
        ("/servicenow/outbox/7/retry", "/servicenow/outbox?state=blocked", "/servicenow/outbox"),
        (
            "/servicenow/tickets/7/work-note",
            "/servicenow/tickets/7/work-note",
            "/servicenow/tickets/7/work-note",
        ),
    ],
)
def test_a_form_whose_session_ended_leads_back_to_its_page(
    browser: TestClient, form: str, page: str, without_referer: str
) -> None:
    for headers, place in (({"Referer": f"http://testserver{page}"}, page), ({}, without_referer)):
        answer = browser.post(form, data={"body": "A long text"}, headers=headers)
        assert answer.headers["Location"] == f"/login?next={quote(place)}"


def test_a_note_is_carried_through_the_log_in_for_its_account_alone(
    browser: TestClient, desk: Desk, sign_in: SignIn
) -> None:
    ticket = desk.ticket(subject="VPN drops")
    path = f"/tickets/{ticket.id}"
    log_in(browser)
    form = find(soup(browser.get(path).text), "#note-form")
    by = find(form, "[name=by]")["value"]
    browser.cookies.clear()
    typed = {"by": by, "kind": "comment", "body": "A long note\nof two lines <b>"}
    refused = browser.post(form["action"], data=typed)
    assert refused.status_code == 401
    assert "Your text is kept" in find(soup(refused.text), "#page-notice").get_text()
    assert not soup(refused.text).select("[aria-invalid]")
    login = find(soup(refused.text), "form[action='/login']")
    hidden = {str(field["name"]): str(field["value"]) for field in login.select("[type=hidden]")}
    assert hidden["next"] == path
    wrong = browser.post("/login", data=hidden | {"email": "agent@example.com", "password": "x"})
    again = find(soup(wrong.text), "form[action='/login']")
    assert {str(one["name"]): one["value"] for one in again.select("[type=hidden]")} == hidden
    sign_in("admin")
    staff = {"email": "admin@example.com", "password": PASSWORD}
    other = browser.post("/login", data=hidden | staff)
    assert (other.status_code, other.headers["Location"]) == (303, path)
    writer = {"email": "agent@example.com", "password": PASSWORD}
    mine = browser.post("/login", data=hidden | writer)
    page = soup(mine.text)
    assert find(page, "#note-form textarea").get_text().strip() == typed["body"]
    assert page.select_one("#note-form [value=comment][checked]")
    assert "has not been sent yet" in find(page, "[role=status]#page-notice").get_text()
    assert page.select("nav.site-nav a")
    assert browser.get("/").status_code == 200
    gone = hidden | writer | {"draft_ticket": "999"}
    assert browser.post("/login", data=gone).headers["Location"] == path
    assert not desk.notes(ticket.id)


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_nobody_is_led_to_another_site(browser: TestClient, target: str) -> None:
    data = {"email": "agent@example.com", "password": PASSWORD, "next": target}
    assert browser.post("/login", data=data).headers["Location"] == "/"
    assert local_path(target) == "/"


def test_a_wrong_password_and_an_unknown_account_look_alike(browser: TestClient) -> None:
    wrong = browser.post("/login", data={"email": "agent@example.com", "password": "wrong"})
    unknown = browser.post("/login", data={"email": "nobody@example.com", "password": "wrong"})
    assert wrong.status_code == unknown.status_code == 422
    shown = [find(soup(page.text), "[role=alert]").get_text() for page in (wrong, unknown)]
    assert shown[0] == shown[1]
    assert "wrong" not in str(soup(wrong.text).select_one("input[name=password]"))


def test_guessing_is_slowed_down(browser: TestClient, clock: Clock) -> None:
    found = [log_in(browser, "wrong") for _ in range(7)]
    assert found[-1] == 429
    waiting = browser.post("/login", data={"email": "agent@example.com", "password": PASSWORD})
    assert waiting.status_code == 429
    clock.forward(seconds=int(waiting.headers["Retry-After"]) + 1)
    assert log_in(browser) == 303


def test_the_cookie_is_signed_http_only_and_revocable(browser: TestClient, app: FastAPI) -> None:
    data = {"email": "agent@example.com", "password": PASSWORD}
    cookie = browser.post("/login", data=data).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    stolen = dict(browser.cookies)
    browser.post("/logout")
    browser.cookies.update(stolen)
    assert browser.get("/tickets").status_code == 303
    forged = {name: value[:-3] + "abc" for name, value in stolen.items()}
    browser.cookies.update(forged)
    assert browser.get("/tickets").status_code == 303


def test_behind_https_the_cookie_is_secure(settings: Settings, triage: TriageEngine) -> None:
    public = replace(settings, public_url="https://desk.example.com")
    app = create_app(public, load_triage=lambda: triage)
    app.state.services.accounts.create_user("agent@example.com", Role.AGENT, PASSWORD)
    browser = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    data = {"email": "agent@example.com", "password": PASSWORD}
    answer = browser.post("/login", data=data)
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    app.state.services.servicenow.close()
    app.state.engine.dispose()


def test_a_changed_password_ends_the_other_sessions(browser: TestClient, app: FastAPI) -> None:
    other = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    for one in (browser, other):
        assert log_in(one) == 303
    new = "a much better password"
    wrong = browser.post("/account/password", data={"current": "wrong", "new": new})
    short = browser.post("/account/password", data={"current": PASSWORD, "new": "short"})
    assert (wrong.status_code, short.status_code) == (422, 422)
    done = browser.post("/account/password", data={"current": PASSWORD, "new": new})
    assert "Password changed" in done.text
    assert browser.get("/tickets").status_code == 200
    assert other.get("/tickets").status_code == 303
    assert log_in(other, new) == 303


def test_an_admin_invites_and_the_link_works_once(admin: TestClient, app: FastAPI) -> None:
    page = soup(admin.post("/admin/users", data={"email": "new@example.com", "role": "agent"}).text)
    path = urlsplit(find(page, "#reset-url").get_text()).path
    guest = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    assert guest.get(path).status_code == 200
    assert guest.post(path, data={"password": "short"}).status_code == 422
    assert guest.post(path, data={"password": PASSWORD}).status_code == 303
    assert guest.post(path, data={"password": PASSWORD}).status_code == 404
    data = {"email": "new@example.com", "password": PASSWORD}
    assert guest.post("/login", data=data).status_code == 303


def test_a_deactivated_account_is_out_at_once(
    admin: TestClient, sign_in: SignIn, app: FastAPI
) -> None:
    agent = sign_in("agent")
    accounts = app.state.services.accounts
    user = accounts.user_by_email("agent@example.com")
    _, secret = accounts.create_token(user, "cron")
    script = TestClient(app, headers={"Authorization": f"Bearer {secret}"})
    assert script.get("/api/tickets").status_code == 200
    assert admin.post(f"/admin/users/{user.id}/deactivate").status_code == 303
    assert agent.get("/tickets").status_code == 303
    assert script.get("/api/tickets").status_code == 401
    assert log_in(agent) == 422
    admin.post(f"/admin/users/{user.id}/activate")
    assert log_in(agent) == 303
    assert script.get("/api/tickets").status_code == 401


def test_the_last_admin_stays(admin: TestClient, app: FastAPI) -> None:
    accounts = app.state.services.accounts
    user = accounts.user_by_email("admin@example.com")
    assert admin.post(f"/admin/users/{user.id}/deactivate").status_code == 409
    with pytest.raises(Conflict):
        accounts.change_role(user.id, Role.AGENT)


def test_a_token_is_shown_once_and_kept_as_a_hash(agent: TestClient, app: FastAPI) -> None:
    card = soup(agent.post("/account/tokens", data={"name": "cron"}, headers=HTMX).text)
    secret = find(card, "#token-secret").get_text()
    script = TestClient(app, headers={"Authorization": f"Bearer {secret}"})
    assert script.get("/api/tickets").status_code == 200
    page = agent.get("/account").text
    assert secret not in page
    assert secret[:9] in page
    with app.state.engine.connect() as conn:
        rows = conn.exec_driver_sql("SELECT * FROM api_tokens").mappings().all()
    assert secret not in str([dict(row) for row in rows])
    revoke = find(soup(page), "form[action*=revoke]")["action"]
    agent.post(str(revoke))
    assert script.get("/api/tickets").status_code == 401
    assert agent.post("/account/tokens", data={"name": " "}).status_code == 422


def test_a_token_of_somebody_else_cannot_be_revoked(agent: TestClient, app: FastAPI) -> None:
    accounts = app.state.services.accounts
    other, _ = accounts.create_user("other@example.com", Role.AGENT)
    token, _ = accounts.create_token(other, "theirs")
    assert agent.post(f"/account/tokens/{token.id}/revoke").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_posts_from_other_sites_are_refused(app: FastAPI, headers: dict[str, str]) -> None:
    browser = signed_in(app, "agent")
    del browser.headers["Sec-Fetch-Site"]
    response = browser.post("/tickets", data={"subject": "Forged"}, headers=headers)
    assert response.status_code == 403
    assert "another site" in response.text
    forged = browser.post("/api/tickets", json={"subject": "Forged"}, headers=headers)
    assert forged.status_code == 403
    assert "Forged" not in browser.get("/tickets").text


def test_a_cookie_without_a_word_of_where_it_comes_from_is_refused(app: FastAPI) -> None:
    browser = signed_in(app, "agent")
    del browser.headers["Sec-Fetch-Site"]
    assert browser.post("/tickets", data={"subject": "Forged"}).status_code == 403
    assert browser.post("/api/tickets", json={"subject": "Forged"}).status_code == 403
    assert "Forged" not in browser.get("/tickets").text


def test_our_own_forms_pass_by_origin_too(app: FastAPI) -> None:
    browser = signed_in(app, "agent")
    del browser.headers["Sec-Fetch-Site"]
    own = {"Origin": "http://testserver"}
    assert browser.post("/tickets", data={"subject": "Ours"}, headers=own).status_code == 303


@pytest.mark.parametrize(
    "path", ["/login", "/nosuch", "/static/app.css", "/api/sn/health", "/healthz"]
)
def test_every_answer_is_protected(app: FastAPI, path: str) -> None:
    headers = TestClient(app).get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch("[0-9a-f]{12}", headers["X-Request-ID"])


def test_an_error_page_carries_the_request_id(agent: TestClient) -> None:
    response = agent.get("/tickets/999")
    assert response.status_code == 404
    assert response.headers["X-Request-ID"] in response.text
    assert soup(response.text).select_one("nav.site-nav")
