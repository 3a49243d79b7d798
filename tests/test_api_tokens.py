"""API tokens: where they work, what their scope lets them do, and what ends them."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.models.accounts import Role, Scope, User
from app.routes.table import ROUTERS
from tests.conftest import HTMX, PASSWORD, SAME_ORIGIN, Clock, SignIn, account
from tests.html import find, soup
from tests.test_rights import ROUTES, knock

# Without a worker a pull is waited for in vain.
API = [
    (role, route)
    for role, routes in ROUTES.items()
    for route in routes
    if " /api/" in route and not route.endswith("/pull")
]
PAGES = [
    route for role, routes in ROUTES.items() if role for route in routes if " /api/" not in route
]


@pytest.fixture
def owner(app: FastAPI) -> User:
    return account(app, "owner@example.com", Role.ADMIN)


def script(app: FastAPI, owner: User, **options: Any) -> TestClient:
    _, secret = app.state.services.accounts.create_token(owner, "script", **options)
    headers = {"Authorization": f"Bearer {secret}"}
    return TestClient(app, headers=headers, follow_redirects=False)


def lives(client: TestClient) -> bool:
    return bool(client.get("/api/tickets").status_code == 200)


def test_a_token_opens_no_page(app: FastAPI, owner: User) -> None:
    client = script(app, owner)
    opened = [route for route in PAGES if knock(client, route, 1) not in (303, 401)]
    assert opened == []
    assert client.get("/tickets").headers["Location"].startswith("/login")
    assert app.state.services.accounts.users() == [owner]


def test_beside_a_token_the_cookie_decides_on_pages(agent: TestClient) -> None:
    agent.headers["Authorization"] = "Bearer hd_unknown"
    assert agent.get("/tickets").status_code == 200
    assert agent.get("/api/tickets").status_code == 401


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("role", [Role.AGENT, Role.ADMIN])
def test_the_lesser_of_role_and_scope_counts(app: FastAPI, role: Role, scope: Scope) -> None:
    client = script(app, account(app, "script@example.com", role), scope=scope)
    acts_as = role if scope is Scope.ADMIN else Role.AGENT
    wrong = []
    for needed, route in API:
        reads = route.startswith("GET ")
        allowed = (needed is None or acts_as.may_act_as(needed)) and (
            reads or scope is not Scope.READ
        )
        if allowed == (knock(client, route, 1) in (401, 403)):
            wrong.append(route)
    assert wrong == []


def test_a_read_token_is_told_what_it_lacks(app: FastAPI, owner: User) -> None:
    refused = script(app, owner, scope=Scope.READ).post("/api/tickets", json={"subject": "x"})
    assert refused.status_code == 403
    assert "write" in refused.json()["hint"]


def test_a_token_ends_when_it_expires(app: FastAPI, owner: User, clock: Clock) -> None:
    short, lasting = script(app, owner, lasts=timedelta(days=30)), script(app, owner)
    clock.forward(days=29)
    assert lives(short)
    clock.forward(days=1)
    assert not lives(short)
    assert lives(lasting)


def test_a_reset_ends_every_token(app: FastAPI, owner: User) -> None:
    client = script(app, owner)
    accounts = app.state.services.accounts
    token = accounts.reset_token(owner.id)
    assert lives(client)
    accounts.reset_password(token, "a much better password")
    assert not lives(client)


def test_a_deactivation_ends_every_token_for_good(app: FastAPI, owner: User) -> None:
    other = account(app, "other@example.com", Role.AGENT)
    client = script(app, other)
    app.state.services.accounts.deactivate(other.id)
    app.state.services.accounts.activate(other.id)
    assert not lives(client)
    assert lives(script(app, owner))


def test_a_password_change_offers_to_end_tokens(app: FastAPI) -> None:
    agent = account(app, "agent@example.com", Role.AGENT)
    stranger = account(app, "stranger@example.com", Role.AGENT)
    ended, kept, theirs = (script(app, user) for user in (agent, agent, stranger))
    browser = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    browser.post("/login", data={"email": agent.email, "password": PASSWORD})
    boxes = soup(browser.get("/account").text).select("#end-tokens input[name=end_token]")
    assert len(boxes) == 2
    assert not any("checked" in box.attrs for box in boxes)
    form = {"current": "wrong", "new": "a much better password", "end_token": ["1", "3"]}
    assert browser.post("/account/password", data=form).status_code == 422
    assert lives(ended)
    changed = browser.post("/account/password", data=form | {"current": PASSWORD})
    assert changed.status_code == 200
    assert [lives(client) for client in (ended, kept, theirs)] == [False, True, True]


def test_scope_and_end_are_chosen_on_the_page(agent: TestClient, app: FastAPI) -> None:
    page = soup(agent.get("/account").text)
    assert [option["value"] for option in page.select("#scope option")] == ["read", "write"]
    form = {"name": "cron", "scope": "read", "days": "30"}
    card = soup(agent.post("/account/tokens", data=form, headers=HTMX).text)
    row = find(card, "tbody tr")
    assert find(row, "[data-label=Scope]").get_text() == "Read"
    assert "in " in find(row, "[data-label=Expires]").get_text()
    plain = soup(agent.post("/account/tokens", data={"name": "plain"}, headers=HTMX).text)
    cells = [cell.get_text() for cell in plain.select("[data-label=Scope]")]
    assert cells == ["Read and write", "Read"]
    assert agent.post("/account/tokens", data=form | {"scope": "root"}).status_code == 422


def test_an_admin_may_choose_every_scope(sign_in: SignIn) -> None:
    page = soup(sign_in("admin").get("/account").text)
    options = [option["value"] for option in page.select("#scope option")]
    assert options == [scope.value for scope in Scope]


def test_every_route_of_the_api_is_below_api() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    described = [one for one in routes if isinstance(one, APIRoute) and one.include_in_schema]
    assert described
    assert all(route.path.startswith("/api/") for route in described)
