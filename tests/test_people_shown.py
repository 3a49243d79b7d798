"""People on pages: names for all, addresses of staff for staff alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from app.db import events
from app.db.engine import utc_now, writing
from app.models.accounts import Role, User
from app.models.tickets import EventKind, TicketStatus
from app.routes.table import ROUTERS
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import find, soup

STAFF = ("desk@example.com", "agent@example.com", "admin@example.com", "gone@example.com")
# Where an address is needed: accounts, and the person that ServiceNow does not know.
WITH_ADDRESSES = {"/admin/users", "/servicenow/tickets/1/incident"}
# What a requester can open, besides the own ticket.
PAGES = ("/", "/tickets", "/tickets?q=printer", "/tickets/new", "/articles", "/ask", "/account")


def named(app: FastAPI, email: str, name: str) -> User:
    accounts = app.state.services.accounts
    user: User = accounts.profiles.rename(accounts.user_by_email(email).id, name)
    return user


@pytest.fixture
def ticket_id(
    app: FastAPI, desk: Desk, agent: TestClient, requester: TestClient, engine: Engine
) -> int:
    """A requester's ticket on which three of the staff worked; one of them has left."""
    named(app, "agent@example.com", "Ada Agent")
    gone, _ = desk.services.accounts.invite_user("gone@example.com", Role.AGENT, name="Gil Gone")
    ticket = desk.ticket(description="pw: Kanarie-7731x", requester="requester@example.com")
    desk.services.tickets.change(ticket.id, {"assignee": "gone@example.com"}, by=desk.user)
    desk.services.tickets.add_note(ticket.id, "I am on it.", internal=False, by=gone)
    desk.services.tickets.change(ticket.id, {"assignee": "agent@example.com"}, by=gone)
    desk.services.accounts.deactivate(gone.id)
    agent.post(f"/tickets/{ticket.id}/reveal")
    requester.post(f"/tickets/{ticket.id}/notes", data={"body": "Thank you"})
    desk.set_status(ticket.id, TicketStatus.RESOLVED)
    with writing(engine) as conn:
        for author in ("outsider@elsewhere.example", "Beth Anglin"):
            kind = EventKind.COMMENT
            events.add(conn, ticket.id, kind, "Hm", author=author, internal=False, now=utc_now())
    return ticket.id


def authors(client: TestClient, ticket_id: int) -> list[str]:
    heads = soup(client.get(f"/tickets/{ticket_id}").text).select(".entry-head strong")
    return [" ".join(head.get_text(" ").split()) for head in heads]


def test_a_requester_gets_no_address_of_staff(requester: TestClient, ticket_id: int) -> None:
    path = f"/tickets/{ticket_id}"
    for each in (*PAGES, path):
        for headers in (None, HTMX):
            html = requester.get(each, headers=headers).text
            assert not [address for address in STAFF if address in html], each
            assert "outsider@" not in html, each
    asked = requester.post("/ask", data={"text": "The printer is on fire"}).text
    noted = requester.post(f"{path}/notes", data={"body": "More"}, headers=HTMX).text
    refused = requester.post(f"{path}/notes", data={"body": ""}).text
    for html in (asked, noted, refused):
        assert not [address for address in STAFF if address in html]


def test_a_requester_sees_names_and_who_is_staff(requester: TestClient, ticket_id: int) -> None:
    seen = authors(requester, ticket_id)
    assert {"Dana Desk Staff", "Gil Gone Staff", "Ada Agent Staff"} <= set(seen)
    assert {"requester", "outsider", "Beth Anglin"} <= set(seen)
    page = soup(requester.get(f"/tickets/{ticket_id}").text)
    assert "Ada Agent viewed the secrets" in find(page, ".entry-revealed").get_text()
    row = find(soup(requester.get("/tickets").text), "[data-label=Assignee]")
    assert row.get_text(" ").split() == ["Ada", "Agent", "Staff"]
    assert find(row, ".tag").get_text() == "Staff"


def test_staff_see_names_with_the_address_in_the_tooltip(agent: TestClient, ticket_id: int) -> None:
    page = soup(agent.get(f"/tickets/{ticket_id}").text)
    shown = {one.get_text(): one["title"] for one in page.select("#timeline .entry span[title]")}
    assert shown["Gil Gone"] == "gone@example.com"
    assert shown["requester"] == "requester@example.com"
    assert "outsider@elsewhere.example" in authors(agent, ticket_id)
    edits = " ".join(find(page, "#timeline").get_text().split())
    assert "Assignee: Gil Gone → Ada Agent" in edits
    facts = find(page, "#ticket-facts").get_text()
    assert "requester@example.com" in facts
    assert "Reply to requester" in find(page, "#note-form").get_text()
    chosen = find(page, "#edit-form [name=assignee] option[selected]")
    assert (chosen.get_text(), chosen["value"]) == ("Ada Agent", "agent@example.com")
    assert len(soup(agent.get("/tickets?assignee=agent@example.com").text).select("tbody tr")) == 1


def pages_of_staff() -> list[str]:
    """All that show other people, with the number 1 wherever a page has one."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    paths = {
        re.sub(r"{.*?}", "1", route.path) for route in routes if "GET" in (route.methods or ())
    }
    return sorted(path for path in paths - WITH_ADDRESSES if not path.startswith("/api/"))


def test_other_pages_of_staff_show_addresses_in_tooltips_alone(
    admin: TestClient, desk: Desk
) -> None:
    servicenow = desk.services.servicenow
    servicenow.outbox.pause("For a test", by="desk@example.com")
    servicenow.push.create_from_ticket(desk.ticket().id, by="desk@example.com")
    servicenow.imports.start(import_tickets=True, by="desk@example.com")
    desk.services.tickets.change(1, {"assignee": "desk@example.com"}, by=desk.user)
    desk.services.accounts.create_token(desk.user, "script")
    answers = {path: admin.get(path) for path in pages_of_staff()}
    shown = {path: soup(one.text).get_text() for path, one in answers.items() if one.is_success}
    assert len(shown) > 20
    assert [path for path, text in shown.items() if "desk@example.com" in text] == []
    named = {path for path, text in shown.items() if "Dana Desk" in text}
    assert named >= {
        "/",
        "/admin/tokens",
        "/tickets",
        "/tickets/1",
        "/servicenow",
        "/servicenow/outbox",
    }
    outbox = soup(admin.get("/servicenow/outbox").text)
    assert find(outbox, "td [title='desk@example.com']").get_text() == "Dana Desk"
    assert find(outbox, ".held [title='desk@example.com']").get_text() == "Dana Desk"


def test_a_name_changes_everywhere_at_once(
    app: FastAPI, agent: TestClient, requester: TestClient, ticket_id: int
) -> None:
    named(app, "gone@example.com", "<b>Gus</b> & co")
    assert "<b>Gus</b> & co" in authors(agent, ticket_id)
    assert "<b>Gus</b> & co Staff" in authors(requester, ticket_id)
    assert "Gil Gone" not in agent.get(f"/tickets/{ticket_id}").text
    assert "Gil Gone" not in agent.get("/tickets").text


def test_a_conflict_between_two_people_is_told_by_name(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket()
    form = find(soup(agent.get(f"/tickets/{ticket.id}").text), "#edit-form form")
    seen = find(form, "[name=seen]")["value"]
    desk.services.tickets.change(ticket.id, {"assignee": "desk@example.com"}, by=desk.user)
    typed = {"seen": seen, "subject": ticket.subject, "assignee": "agent@example.com"}
    answer = agent.post(f"/tickets/{ticket.id}/edit", data=typed)
    told = find(soup(answer.text), "#form-errors").get_text()
    assert "Dana Desk changed this ticket" in told
    assert "Assignee is now “Dana Desk”" in told
    assert "desk@example.com" not in told


def test_a_sentence_names_people_with_unusual_addresses(
    requester: TestClient, desk: Desk, engine: Engine
) -> None:
    odd, _ = desk.services.accounts.invite_user(
        "o'brien+it@example.com", Role.AGENT, name="Flann O'Brien"
    )
    ticket = desk.ticket(requester="requester@example.com")
    with writing(engine) as conn:
        told = f"{odd.email} viewed <the> secrets."
        kind = EventKind.REVEALED
        events.add(conn, ticket.id, kind, told, author=odd.email, internal=False, now=utc_now())
    entry = find(soup(requester.get(f"/tickets/{ticket.id}").text), ".entry-revealed .entry-body")
    assert entry.get_text() == "Flann O'Brien viewed <the> secrets."


def test_no_mark_is_left_and_none_can_be_forged(agent: TestClient, desk: Desk) -> None:
    path = f"/tickets/{desk.ticket().id}"
    agent.post(f"{path}/notes", data={"body": "-person-6465736b406578616d706c652e636f6d-"})
    html = agent.get(path).text
    assert re.findall(r"\w*-person-\w*-", html) == ["-person-6465736b406578616d706c652e636f6d-"]


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_conn: object, _cursor: object, sql: str, *_: object) -> None:
        seen.append(sql)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/", "/tickets", "/servicenow/outbox", "/servicenow/history"])
def test_a_list_takes_as_many_statements_for_many_people(
    app: FastAPI, agent: TestClient, desk: Desk, engine: Engine, path: str
) -> None:
    counts = []
    for number in range(8):
        email = f"staff{number}@example.com"
        desk.services.accounts.invite_user(email, Role.AGENT, name=f"Staff {number}")
        ticket = desk.ticket()
        desk.services.tickets.change(ticket.id, {"assignee": email}, by=desk.user)
        desk.services.servicenow.push.create_from_ticket(ticket.id, by=email)
        if number in (1, 7):
            with statements_of(engine) as seen:
                assert f"Staff {number}" in agent.get(path).text
            counts.append(len(seen))
    assert counts[0] == counts[1]
