"""Every route with every role: who gets in, who is turned away, by page and by JSON."""

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.models.accounts import Role
from app.routes.table import ROUTERS
from tests.conftest import SAME_ORIGIN, SignIn
from tests.desk import Desk
from tests.html import soup

SYS_ID = "0" * 32
ROUTES = {
    None: [
        "GET /healthz",
        "HEAD /healthz",
        "GET /readyz",
        "HEAD /readyz",
        "GET /login",
        "POST /login",
        "POST /logout",
        "GET /reset/{token}",
        "POST /reset/{token}",
    ],
    Role.REQUESTER: [
        "GET /",
        "GET /tickets",
        "GET /tickets/new",
        "POST /tickets",
        "GET /tickets/{ticket_id}",
        "POST /tickets/{ticket_id}/notes",
        "GET /ask",
        "POST /ask",
        "POST /ask/helped",
        "POST /ask/ticket",
        "POST /tickets/{ticket_id}/suggestions/vote",
        "GET /articles",
        "GET /articles/{slug}",
        "GET /account",
        "POST /account/password",
        "POST /account/profile",
        "POST /account/sessions/{key}/end",
        "GET /api/tickets",
        "POST /api/tickets",
        "GET /api/tickets/{ticket_id}",
        "POST /api/tickets/{ticket_id}/notes",
    ],
    Role.AGENT: [
        "GET /articles/new",
        "POST /articles",
        "GET /articles/{slug}/edit",
        "POST /articles/{slug}/edit",
        "POST /tickets/{ticket_id}/reveal",
        "GET /tickets/{ticket_id}/drafts/{kind}",
        "POST /tickets/{ticket_id}/drafts/{kind}",
        "GET /tickets/{ticket_id}/similar",
        "POST /tickets/{ticket_id}/edit",
        "POST /tickets/{ticket_id}/predictions/{prediction_id}/accept",
        "POST /tickets/{ticket_id}/predictions/{prediction_id}/replace",
        "POST /tickets/{ticket_id}/status",
        "GET /copilot/accuracy",
        "GET /api/copilot/accuracy",
        "PATCH /api/tickets/{ticket_id}",
        "POST /account/tokens",
        "POST /account/tokens/{token_id}/revoke",
        "GET /servicenow",
        "POST /servicenow/fetch",
        "POST /servicenow/test",
        "GET /servicenow/test",
        "GET /servicenow/setup",
        "GET /servicenow/incidents/{sys_id}",
        "GET /servicenow/tickets/{ticket_id}/push",
        "GET /servicenow/tickets/{ticket_id}/incident",
        "POST /servicenow/tickets/{ticket_id}/incident",
        "POST /servicenow/tickets/{ticket_id}/notice",
        "POST /servicenow/tickets/{ticket_id}/sync",
        "GET /servicenow/tickets/{ticket_id}/work-note",
        "POST /servicenow/tickets/{ticket_id}/work-note",
        "POST /servicenow/tickets/{ticket_id}/link",
        "POST /servicenow/tickets/{ticket_id}/unlink",
        "POST /servicenow/tickets/{ticket_id}/duplicates/{sys_id}/cancel",
        "POST /api/sn/tickets/{ticket_id}/duplicates/{sys_id}/cancel",
        "GET /servicenow/history",
        "GET /servicenow/mapping",
        "POST /servicenow/mapping/choices",
        "GET /servicenow/history.csv",
        "GET /servicenow/outbox",
        "GET /servicenow/outbox/{item_id}",
        "POST /servicenow/outbox/{item_id}/edit",
        "POST /servicenow/outbox/{item_id}/retry",
        "POST /servicenow/outbox/{item_id}/discard",
        "GET /api/sn/health",
        "POST /api/sn/health",
        "GET /api/sn/incidents",
        "GET /api/sn/incidents/{sys_id}",
        "POST /api/sn/incidents/create-from-ticket/{ticket_id}",
        "PATCH /api/sn/incidents/{sys_id}/sync-ticket/{ticket_id}",
        "GET /servicenow/tickets/{ticket_id}/conflicts",
        "POST /servicenow/tickets/{ticket_id}/conflicts",
        "GET /api/sn/tickets/{ticket_id}/conflicts",
        "GET /servicenow/incoming",
        "GET /servicenow/unmapped",
        "GET /api/sn/incoming",
        "POST /api/sn/tickets/{ticket_id}/conflicts",
        "GET /api/sn/outbox",
        "POST /api/sn/outbox/{item_id}/retry",
        "POST /api/sn/outbox/{item_id}/discard",
    ],
    Role.ADMIN: [
        "POST /articles/{slug}/delete",
        "GET /admin",
        "GET /admin/users",
        "POST /admin/users",
        "POST /admin/users/{user_id}/name",
        "POST /admin/users/{user_id}/role",
        "POST /admin/users/{user_id}/deactivate",
        "POST /admin/users/{user_id}/activate",
        "POST /admin/users/{user_id}/reset",
        "GET /admin/copilot",
        "POST /admin/copilot/modes/{field}",
        "POST /admin/copilot/matrix",
        "GET /admin/copilot/model",
        "POST /admin/copilot/train",
        "POST /admin/copilot/models/{model_id}/use",
        "GET /admin/tokens",
        "POST /admin/tokens/{token_id}/revoke",
        "POST /servicenow/mapping",
        "POST /servicenow/mapping/preview",
        "POST /servicenow/mapping/reset",
        "POST /servicenow/pause",
        "POST /servicenow/resume",
        "POST /servicenow/creates/release",
        "POST /api/sn/creates/release",
        "POST /servicenow/pulls",
        "POST /servicenow/incoming/pull",
        "POST /servicenow/incoming/switch",
        "POST /api/sn/incoming/pull",
        "GET /servicenow/pulls/{run_id}",
        "POST /servicenow/pulls/{run_id}/cancel",
        "POST /servicenow/pulls/{run_id}/undo",
        "GET /servicenow/pulls/{run_id}/indexing",
        "GET /servicenow/pulls/{run_id}/report.csv",
        "POST /api/sn/sync/runs/{run_id}/cancel",
        "POST /api/sn/sync/runs/{run_id}/undo",
        "GET /api/sn/sync/runs/{run_id}/report.csv",
        "POST /api/sn/sync/pull",
        "GET /api/sn/sync/runs/{run_id}",
    ],
}
# Enough of a body that the guard is asked and not the form.
FORMS = {
    "role": {"role": "agent"},
}
BODIES = {
    "POST /api/tickets": {"subject": "x"},
    "PATCH /api/tickets/{ticket_id}": {},
    "POST /api/tickets/{ticket_id}/notes": {"body": "x"},
    "POST /api/sn/sync/pull": {"limit": 1},
    "POST /api/sn/tickets/{ticket_id}/conflicts": {"choices": {}},
    "POST /api/sn/outbox/{item_id}/discard": {"reason": "x"},
}
CASES = [(role, route) for role, routes in ROUTES.items() for route in routes]


def routes_of_the_app() -> set[str]:
    return {
        f"{method} {route.path}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def knock(client: TestClient, route: str, ticket_id: int) -> int:
    method, path = route.split(" ")
    path = path.replace("{ticket_id}", str(ticket_id)).replace("{sys_id}", SYS_ID)
    path = path.replace("{kind}", "summary")
    path = re.sub(r"\{\w+\}", "999", path)
    if path.startswith("/api/"):
        body = BODIES.get(route)
        return client.request(method, path, json=body).status_code
    form = FORMS.get(path.rsplit("/", 1)[-1]) if method == "POST" else None
    return client.request(method, path, data=form).status_code


def test_the_table_names_every_route() -> None:
    assert sorted(route for _, route in CASES) == sorted(routes_of_the_app())


def test_strangers_are_sent_to_the_log_in(app: FastAPI) -> None:
    stranger = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    wrong = []
    for needed, route in CASES:
        status = knock(stranger, route, 1)
        turned_away = status == (401 if "/api/" in route else 303)
        if needed is None:
            turned_away = status in (401, 403)
        if turned_away is (needed is None):
            wrong.append((route, status))
    assert wrong == []


@pytest.fixture
def requesters_ticket(desk: Desk) -> int:
    return desk.ticket(requester="requester@example.com").id


@pytest.mark.parametrize("role", ["requester", "agent", "admin"])
def test_each_role_gets_in_where_it_may_and_nowhere_else(
    sign_in: SignIn, requesters_ticket: int, role: str
) -> None:
    browser = sign_in(role)
    wrong = []
    for needed, route in CASES:
        if route == "POST /logout":
            continue
        status = knock(browser, route, requesters_ticket)
        allowed = needed is None or Role(role).may_act_as(needed)
        if allowed == (status in (401, 403)):
            wrong.append((route, status))
    assert wrong == []


def test_a_requester_sees_only_their_own_tickets(requester: TestClient, desk: Desk) -> None:
    own = desk.ticket(subject="My own trouble", requester="Requester@Example.com")
    other = desk.ticket(subject="Somebody else's trouble", requester="other@example.com")
    page = requester.get("/tickets").text
    assert "My own trouble" in page
    assert "Somebody else" not in page
    assert requester.get(f"/tickets/{own.id}").status_code == 200
    assert requester.get(f"/tickets/{other.id}").status_code == 404
    assert requester.get(f"/api/tickets/{other.id}").status_code == 404
    assert requester.post(f"/tickets/{other.id}/notes", data={"body": "x"}).status_code == 404
    listed = requester.get("/api/tickets").json()["tickets"]
    assert [ticket["id"] for ticket in listed] == [own.id]


def test_internal_notes_never_reach_a_requester(requester: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(requester="requester@example.com")
    desk.note(ticket.id, "The customer is difficult", internal=True)
    desk.note(ticket.id, "We are on it", internal=False)
    page = requester.get(f"/tickets/{ticket.id}").text
    assert "We are on it" in page
    assert "difficult" not in page
    found = soup(requester.get("/tickets?q=difficult").text)
    assert not found.select("tbody tr")


def test_a_requester_cannot_write_an_internal_note(requester: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(requester="requester@example.com")
    requester.post(f"/tickets/{ticket.id}/notes", data={"body": "Hello", "kind": "internal"})
    assert [note.internal for note in desk.notes(ticket.id)] == [False]
    answer = requester.post(
        f"/api/tickets/{ticket.id}/notes", json={"body": "Hello", "internal": True}
    )
    assert answer.status_code == 403


def test_the_navigation_offers_what_the_role_may_use(sign_in: SignIn) -> None:
    offered = {}
    for role in ("requester", "agent", "admin"):
        links = soup(sign_in(role).get("/").text).select("nav.site-nav a")
        offered[role] = [link.get_text(strip=True) for link in links]
    assert offered["requester"] == ["Dashboard", "Tickets", "Ask", "Articles"]
    assert offered["agent"] == ["Dashboard", "Tickets", "Ask", "Articles", "ServiceNow"]
    assert offered["admin"] == ["Dashboard", "Tickets", "Ask", "Articles", "ServiceNow", "Admin"]
