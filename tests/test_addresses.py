"""Addresses without a page of their own, and the frame of error pages."""

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.conftest import SAME_ORIGIN, SignIn
from tests.desk import Desk
from tests.html import soup
from tests.test_rights import SYS_ID, routes_of_the_app


def form_addresses() -> list[str]:
    """Every page address that takes forms and has no page."""
    by_method: dict[str, set[str]] = {"GET": set(), "POST": set()}
    for route in routes_of_the_app():
        method, path = route.split(" ")
        by_method.setdefault(method, set()).add(path)
    pages = sorted(by_method["POST"] - by_method["GET"])
    return [path for path in pages if not path.startswith("/api/")]


def test_a_reload_of_a_form_address_leads_to_its_page(admin: TestClient, desk: Desk) -> None:
    ticket = f"/tickets/{desk.ticket().id}"
    wrong = []
    for address in form_addresses():
        path = address.replace("/tickets/{ticket_id}", ticket).replace("{sys_id}", SYS_ID)
        path = path.replace("{slug}", "mailbox-full").replace("{field}", "category")
        path = re.sub(r"\{\w+\}", "1", path)
        answer = admin.get(path)
        where = answer.headers.get("Location", "")
        shown = admin.get(where, follow_redirects=True).status_code if where else 0
        if answer.status_code != 303 or shown not in (200, 404):
            wrong.append(f"{address}: {answer.status_code} {where} {shown}")
        if "{ticket_id}" in address and where != ticket:
            wrong.append(f"{address}: {where}")
        if admin.head(path).status_code != 303:
            wrong.append(f"{address}: HEAD")
    assert wrong == []


def test_where_form_addresses_lead(admin: TestClient) -> None:
    for path, page in {
        "/logout": "/",
        "/account/password": "/account",
        "/admin/users/7/deactivate": "/admin/users",
        "/servicenow/outbox/7/retry": "/servicenow/outbox",
        "/servicenow/mapping/choices": "/servicenow/mapping",
        "/articles/mailbox-full/delete": "/articles/mailbox-full",
        "/admin/copilot/modes/category": "/admin/copilot",
    }.items():
        assert admin.get(path).headers["Location"] == page


def test_a_program_is_still_told_the_method_is_wrong(api: TestClient) -> None:
    answer = api.get("/api/tickets/1/notes")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("role", ["requester", "agent", "admin"])
def test_an_error_page_keeps_the_navigation(sign_in: SignIn, role: str) -> None:
    browser = sign_in(role)
    links = len(soup(browser.get("/").text).select("nav.site-nav a"))
    foreign = {"Sec-Fetch-Site": "cross-site"}
    answers = [
        browser.get("/nosuch"),
        browser.get("/tickets/99999"),
        browser.get("/tickets/abc"),
        browser.post("/nosuch"),
        browser.put("/tickets"),
        browser.post("/tickets", headers=foreign),
        browser.post("/tickets", content=b"x" * 1_600_000),
        browser.get("/articles/no-such"),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 422, 404, 405, 403, 413, 404]
    for answer in answers:
        assert len(soup(answer.text).select("nav.site-nav a")) == links


def test_a_stranger_gets_no_navigation(app: FastAPI) -> None:
    stranger = TestClient(app, headers=SAME_ORIGIN)
    assert not soup(stranger.get("/nosuch").text).select("nav.site-nav a")
