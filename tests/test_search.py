"""Full-text search: what is written is found at once, by its words, and secrets never are."""

import time
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, delete
from sqlalchemy.exc import OperationalError

from app.copilot.words import words
from app.db import search
from app.db.engine import reading, writing
from app.db.tables import ticket_terms, tickets
from app.models import TicketStatus
from app.simulator import Instance
from tests.conftest import HTMX, soup
from tests.desk import Desk

Find = Callable[[str], list[str]]


@pytest.fixture
def found(agent: TestClient) -> Find:
    """The subjects that the list shows for a search."""

    def look(q: str) -> list[str]:
        html = agent.get("/tickets", params={"q": q}, headers=HTMX).text
        return [row.select_one("a").get_text(strip=True) for row in soup(html).select("tbody tr")]

    return look


def subjects(agent: TestClient, q: str) -> list[str]:
    tickets_found = agent.get("/api/tickets", params={"q": q}).json()["tickets"]
    return sorted(ticket["subject"] for ticket in tickets_found)


@pytest.mark.parametrize(
    "q",
    [
        "printer",
        "PRINT",
        "jam paper",
        "the printer jams",
        "zürich",
        "zurich",
        "0x80070005",
        "ana@example.com",
    ],
)
def test_a_ticket_is_found_by_its_words_in_any_order(agent: TestClient, desk: Desk, q: str) -> None:
    desk.ticket(
        "The printer jams",
        "Paper everywhere in Zürich, error 0x80070005!",
        requester="ana@example.com",
    )
    desk.ticket("The screen is black", "Nothing helps")
    assert subjects(agent, q) == ["The printer jams"]


@pytest.mark.parametrize(
    "q", ["!!!", "printer screen", '" OR 1', "'; DROP", "*", "a:* | b", "NEAR"]
)
def test_what_does_not_match_finds_nothing_and_breaks_nothing(
    agent: TestClient, desk: Desk, q: str
) -> None:
    desk.ticket("The printer jams", "Paper")
    desk.ticket("The screen is black", "Nothing")
    assert subjects(agent, q) == []


def test_a_number_finds_the_ticket_and_the_incident(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    first = desk.ticket("First")
    second = desk.ticket("Second")
    agent.post(f"/servicenow/tickets/{second.id}/incident", headers=HTMX)
    number = desk.services.tickets.get(second.id, desk.user).sn_number
    assert number
    assert subjects(agent, f"#{first.id}") == ["First"]
    assert subjects(agent, number.lower()) == ["Second"]
    assert subjects(agent, number.removeprefix("INC")) == ["Second"]


def test_an_edit_and_a_resolution_are_found_at_once(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket("The printer jams", "Paper")
    desk.services.tickets.change(ticket.id, {"subject": "The plotter jams"}, by=desk.user)
    desk.set_status(ticket.id, TicketStatus.RESOLVED, notes="Replaced the fuser")
    assert subjects(agent, "printer") == []
    assert subjects(agent, "plotter") == ["The plotter jams"]
    assert subjects(agent, "fuser") == ["The plotter jams"]


def test_an_imported_ticket_is_found_and_one_taken_back_is_not(
    agent: TestClient, desk: Desk, instance: Instance, engine: Engine
) -> None:
    instance.add_incident(number="INC0000001", short_description="Turbine humming")
    pulls = desk.services.servicenow.pulls
    pulls.start(by="desk@example.com", limit=10, import_tickets=True)
    pulls.run_due()
    desk.services.knowledge.index_missing()  # as the worker does, behind the import
    assert subjects(agent, "turbine") == ["Turbine humming"]
    with writing(engine) as conn:
        conn.execute(delete(tickets))
    with reading(engine) as conn:
        left = conn.execute(search.ids_with_all(conn, ticket_terms, "turbine")).all()
    assert left == []


def test_what_was_here_before_the_index_gets_its_words(
    agent: TestClient, desk: Desk, engine: Engine
) -> None:
    desk.ticket("The printer jams")
    with writing(engine) as conn:
        conn.execute(delete(ticket_terms))
    assert subjects(agent, "printer") == []
    desk.services.knowledge.index_missing()
    assert subjects(agent, "printer") == ["The printer jams"]


def test_words_are_written_after_the_start_though_the_database_was_locked(
    app: FastAPI,
    agent: TestClient,
    desk: Desk,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk.ticket("The printer jams")
    with writing(engine) as conn:
        conn.execute(delete(ticket_terms))
    really, looks = search.index_missing, iter(range(100))

    def locked_at_first(conn: Connection, *, limit: int) -> int:
        if next(looks) == 0:
            raise OperationalError("BEGIN IMMEDIATE", None, Exception("database is locked"))
        return really(conn, limit=limit)

    monkeypatch.setattr(search, "index_missing", locked_at_first)
    with TestClient(app):
        until = time.monotonic() + 30
        while subjects(agent, "printer") == []:
            assert time.monotonic() < until, "its words were never written"
            time.sleep(0.05)


def test_a_password_is_not_in_the_index(agent: TestClient, desk: Desk) -> None:
    desk.ticket("Locked out", "my password: Sommer2024 does not work")
    assert subjects(agent, "locked") == ["Locked out"]
    assert subjects(agent, "sommer2024") == []


def test_the_list_page_searches_the_same_way(found: Find, desk: Desk) -> None:
    desk.ticket("The printer jams", "Paper")
    desk.ticket("The printer is offline", "Dust")
    assert len(found("printer")) == 2
    assert len(found("printer dust")) == 1


def test_a_requesters_search_stays_among_their_own(requester: TestClient, desk: Desk) -> None:
    desk.ticket("Mine prints", requester="requester@example.com")
    desk.ticket("Theirs prints", requester="other@example.com")
    assert subjects(requester, "prints") == ["Mine prints"]


def test_words_are_alike_on_both_databases() -> None:
    assert words("Grüße, ORA-01653_x! ﬁne 漢字") == ["grusse", "ora", "01653", "x", "fine", "漢字"]
    assert words("!? --") == []
