"""Full-text search: what is written is found at once, by its words, and secrets never are."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from sqlalchemy.exc import OperationalError

from app.copilot.secrets.redact import masked
from app.copilot.tokenizer import Term, asked, other_words, problem_words, words
from app.db import search
from app.db.engine import reading, writing
from app.db.tables import ticket_terms, tickets
from app.models.knowledge import ArticleDraft
from app.models.tickets import TicketStatus
from app.simulator import Instance
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import find, soup

Find = Callable[[str], list[str]]


@pytest.fixture
def found(agent: TestClient) -> Find:
    """The subjects that the list shows for a search."""

    def look(q: str) -> list[str]:
        html = agent.get("/tickets", params={"q": q}, headers=HTMX).text
        return [find(row, "a").get_text(strip=True) for row in soup(html).select("tbody tr")]

    return look


def forget_words(engine: Engine, *ticket_ids: int) -> None:
    """As an import leaves its tickets."""
    with writing(engine) as conn:
        conn.execute(delete(ticket_terms).where(ticket_terms.c.ticket_id.in_(ticket_ids)))
        search.add_waiting(conn, search.TICKET, ticket_ids)


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
    pulls = desk.services.servicenow.imports
    pulls.start(by="desk@example.com", limit=10, import_tickets=True)
    pulls.run_due()
    desk.services.knowledge.index_missing()  # as the worker does, behind the import
    assert subjects(agent, "turbine") == ["Turbine humming"]
    with writing(engine) as conn:
        conn.execute(delete(tickets))
    with reading(engine) as conn:
        left = conn.execute(search.ids_with_all(conn, ticket_terms, "turbine")).all()
    assert left == []


def test_what_waits_for_its_words_is_counted_and_then_found(
    agent: TestClient, desk: Desk, engine: Engine
) -> None:
    forget_words(engine, *(desk.ticket("The printer jams").id for _ in range(2)))
    assert subjects(agent, "printer") == []
    told = "2 imported tickets are still being indexed. Search does not find them yet."
    assert told in agent.get("/tickets?q=printer", headers=HTMX).text
    desk.services.knowledge.index_missing()
    assert len(subjects(agent, "printer")) == 2
    assert "being indexed" not in agent.get("/tickets?q=printer", headers=HTMX).text


def test_a_text_that_changes_while_its_words_are_made_is_read_again(
    agent: TestClient, desk: Desk, engine: Engine
) -> None:
    ticket = desk.ticket("The printer jams")
    forget_words(engine, ticket.id)
    with reading(engine) as conn:
        batch = search.waiting(conn, limit=10)
    assert batch
    stale = batch.words()
    desk.services.tickets.change(ticket.id, {"subject": "The plotter jams"}, by=desk.user)
    with writing(engine) as conn:
        search.store_words(conn, batch, stale)
    assert subjects(agent, "printer") == []
    desk.services.knowledge.index_missing()
    assert subjects(agent, "plotter") == ["The plotter jams"]
    with reading(engine) as conn:
        assert search.waiting(conn, limit=10) is None


def test_the_newest_without_words_go_first(desk: Desk, engine: Engine) -> None:
    first, second = desk.ticket("One").id, desk.ticket("Two").id
    forget_words(engine, first, second)
    with reading(engine) as conn:
        batch = search.waiting(conn, limit=1)
    assert batch
    assert batch.keys == (second,)


def test_a_text_that_cannot_be_indexed_holds_up_no_other(
    agent: TestClient,
    desk: Desk,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good, bad = desk.ticket("The printer jams"), desk.ticket("Unreadable hunter2")
    forget_words(engine, good.id, bad.id)

    def breaking(subject: str, description: str) -> list[str]:
        if "Unreadable" in subject:
            raise ValueError(f"cannot read {subject}")
        return problem_words(subject, description)

    monkeypatch.setattr(search, "problem_words", breaking)
    desk.services.knowledge.index_missing()
    assert subjects(agent, "printer") == ["The printer jams"]
    assert subjects(agent, f"#{bad.id}") == ["Unreadable hunter2"]
    assert caplog.messages.count(f"ticket {bad.id} cannot be indexed: ValueError") == 1
    assert "hunter2" not in caplog.text
    desk.services.tickets.change(bad.id, {"description": "Still"}, by=desk.user)


def test_words_are_written_after_the_start_though_the_database_was_locked(
    app: FastAPI,
    agent: TestClient,
    desk: Desk,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget_words(engine, desk.ticket("The printer jams").id)
    really, looks = search.store_words, iter(range(100))

    def locked_at_first(*arguments: Any) -> None:
        if next(looks) == 0:
            raise OperationalError("BEGIN IMMEDIATE", None, Exception("database is locked"))
        really(*arguments)

    monkeypatch.setattr(search, "store_words", locked_at_first)
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
    assert words("Grüße, ORA-01653_x! ﬁne") == ["grusse", "ora", "01653", "x", "fine"]
    assert words("Søren Łukasz Æther") == ["soren", "lukasz", "aether"]
    assert words("打印机x9") == ["打印", "印机", "机", "x9"]
    assert words("!? --") == []


@given(st.text(max_size=40))
def test_what_a_text_is_asked_by_is_among_its_words(text: str) -> None:
    its = {*words(text), *other_words([text], but=())}
    for ways in asked(masked(text)):
        assert any(all(any_begins(its, term) for term in group) for group in ways)


def any_begins(its: set[str], term: Term) -> bool:
    return any(word == term.word or (term.prefix and word.startswith(term.word)) for word in its)


# A sentence, and words of one, two and three letters from its middle.
SENTENCES = {
    "Chinese": ("三楼的打印机卡纸了", ("纸", "卡纸", "打印机")),
    "Japanese": ("会議室のプリンターが壊れた", ("壊", "議室", "リンタ")),
    "Thai": ("เครื่องพิมพ์ที่ชั้นสามเสีย", ("ส", "พิม", "เสีย")),
}
FOUND = [(text, word) for text, few in SENTENCES.values() for word in (*few, text)]


@pytest.mark.parametrize(("text", "word"), FOUND)
def test_a_word_is_found_inside_a_run_of_letters(
    agent: TestClient, desk: Desk, text: str, word: str
) -> None:
    desk.ticket(text, "")
    desk.ticket("無関係", "ไม่เกี่ยว")
    assert subjects(agent, word) == [text]


@pytest.mark.parametrize(("text", "word"), FOUND)
def test_such_an_article_is_found_and_answers_a_question(
    agent: TestClient, desk: Desk, text: str, word: str
) -> None:
    draft = ArticleDraft(
        text, "hardware", public=True, keywords=text, body=f"## Steps\n\n1. {text}"
    )
    desk.services.knowledge.write(draft, by=desk.user)
    assert text in agent.get("/articles", params={"q": word}).text
    if len(word) > 1:
        assert text in agent.post("/ask", data={"text": word}).text


@pytest.mark.parametrize(
    ("written", "searches"),
    [
        ("Müller", ("Müller", "Mueller", "muller", "MUEL", "mü", "Mu\u0308ller")),
        ("Mueller", ("Müller", "mueller")),
        ("Søren", ("soren", "Søren", "Soeren")),
        ("Łukasz", ("lukasz", "Łukasz", "łuk")),
        ("Ångström", ("angstrom", "Aangstroem", "ångström")),
        ("Đặng", ("dang", "đặng")),
        ("Straße", ("strasse", "STRASSE", "straße")),
        ("हिन्दी", ("हिन्दी",)),
        ("한국어", ("한국", "한국어")),
    ],
)
def test_a_name_is_found_however_it_is_spelled(
    agent: TestClient, desk: Desk, written: str, searches: tuple[str, ...]
) -> None:
    desk.ticket(f"{written} cannot log in", "")
    assert [q for q in searches if not subjects(agent, q)] == []


def test_no_letter_breaks_a_search(agent: TestClient) -> None:
    letters = [chr(code) for code in range(0x80, 0x3400) if chr(code).isalnum()]
    for at in range(0, len(letters), 90):
        q = "a".join(letters[at : at + 90])
        assert agent.get("/tickets", params={"q": q}, headers=HTMX).status_code == 200
