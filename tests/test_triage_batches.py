"""Triage in batches: the same predictions as one by one; reasons and steps come later, once."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from app.copilot.engine import TriageEngine
from app.db import events, predictions, suggestions, tickets
from app.db.engine import reading, utc_now, writing
from app.models.tickets import EventKind, Ticket, TicketStatus
from app.models.triage import Field, StoredPrediction, Verdict
from app.services.copilot.service import CopilotService
from app.services.copilot.triage import TriageService
from app.simulator import Instance
from tests.desk import Desk
from tests.html import soup
from tests.test_predictions import VPN, card, press, pushed

DEMO = Path(__file__).resolve().parents[1] / "app" / "demo" / "tickets.csv"
JAM: dict[str, Any] = {
    "subject": "Printer paper jam on floor 2",
    "description": "Paper jam in tray 2 again.",
}


TEXTS = [("", ""), ("qwxz zzkp", "vvfq")]
with DEMO.open(encoding="utf-8", newline="") as lines:
    TEXTS += [(row["subject"], row["description"]) for row in csv.DictReader(lines)]
LONG = {
    "subject": "Scanner in the mail room",
    "description": "It sends an empty page to every mailbox, and twice a second one with stripes.",
}


@pytest.fixture
def service(app: FastAPI) -> TriageService:
    found: TriageService = app.state.services.triage
    return found


@pytest.fixture
def came_in(engine: Engine) -> Callable[..., Ticket]:
    """Adds a ticket as an import does: without triage."""

    def add(text: dict[str, Any] = VPN, status: str = "open", **values: Any) -> Ticket:
        now = utc_now()
        with writing(engine) as conn:
            return tickets.add(
                conn,
                **text,
                status=TicketStatus(status),
                created_at=now,
                updated_at=now,
                **{"requester_email": "abel.tuter@example.com"} | values,
            )

    return add


def said_of(engine: Engine, ticket: Ticket) -> list[StoredPrediction]:
    with reading(engine) as conn:
        return list(predictions.of_ticket(conn, ticket.id))


def entries(engine: Engine, ticket: Ticket) -> list[str]:
    with reading(engine) as conn:
        timeline = events.of_ticket(conn, ticket.id, internal=True)
    return [one.body for one in timeline if one.kind is EventKind.TRIAGE]


def ids(engine: Engine, which: Callable[..., tuple[Ticket, ...]]) -> list[int]:
    with reading(engine) as conn:
        return [ticket.id for ticket in which(conn, limit=10)]


def test_open_ones_go_before_pending_and_the_newest_first(
    service: TriageService, engine: Engine, came_in: Callable[..., Ticket]
) -> None:
    statuses = ("open", "pending", "in_progress", "resolved", "closed", "open", "pending")
    first, waits, second, _, _, third, waits_too = (
        came_in(status=status).id for status in statuses
    )
    turns = [third, second, first, waits_too, waits]
    assert ids(engine, tickets.untriaged) == turns
    pauses: list[list[int]] = []
    assert service.catch_up(limit=2, pause=lambda: pauses.append(turns)) == 2
    assert ids(engine, tickets.untriaged) == turns[2:]
    assert ids(engine, tickets.unexplained) == turns[:2]
    assert service.catch_up() == 3
    assert ids(engine, tickets.unexplained) == turns
    for left in range(4, -1, -1):
        assert service.complete_next(pause=lambda: pauses.append(turns))
        assert ids(engine, tickets.unexplained) == turns[len(turns) - left :]
    assert not service.complete_next()
    assert len(pauses) == 6


def test_what_changed_meanwhile_is_left_for_the_next_batch(
    service: TriageService, engine: Engine, came_in: Callable[..., Ticket], desk: Desk
) -> None:
    changed, other = came_in(), came_in()

    def edit() -> None:
        desk.services.tickets.change(changed.id, JAM, by=desk.user)

    assert service.catch_up(pause=edit) == 1
    assert said_of(engine, changed) == []
    assert len(said_of(engine, other)) == 2
    assert service.catch_up() == 1
    assert {one.said.value for one in said_of(engine, changed)} >= {"hardware"}


def test_what_is_decided_already_is_not_guessed(
    service: TriageService, engine: Engine, came_in: Callable[..., Ticket]
) -> None:
    decided, half = came_in(category="access", priority="high"), came_in(category="access")
    assert service.catch_up() == 2
    assert (said_of(engine, decided), entries(engine, decided)) == ([], [])
    assert [one.said.field for one in said_of(engine, half)] == [Field.PRIORITY]
    with reading(engine) as conn:
        assert tickets.get(conn, half.id).predicted_category is None


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=30))
def test_a_batch_predicts_what_each_text_gets_alone(
    triage: TriageEngine, texts: list[tuple[str, str]]
) -> None:
    copilot = CopilotService(lambda: triage)
    for text, found in zip(texts, copilot.triage_all(texts), strict=True):
        for said, alone in zip(found.said, copilot.triage(*text).said, strict=True):
            assert said.confidence == pytest.approx(alone.confidence, rel=1e-9)
            for name in ("field", "value", "sure", "model", "runner_up", "impact", "urgency"):
                assert getattr(said, name) == getattr(alone, name)


def test_a_correction_holds_in_a_batch_as_it_does_alone(
    agent: TestClient,
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    desk: Desk,
) -> None:
    for text in (VPN, LONG):
        assert press(agent, f"/tickets/{desk.ticket(**text).id}", "replace", value="database")
    nearly = LONG | {"description": LONG["description"] + " Today."}
    batch = [came_in(text) for text in (VPN, nearly, JAM)]
    assert service.catch_up() == 3
    for ticket in batch:
        alone = desk.ticket(ticket.subject, ticket.description)
        (here,) = (one.said for one in said_of(engine, ticket) if one.said.field == "category")
        (there,) = (one.said for one in said_of(engine, alone) if one.said.field == "category")
        assert (here.value, here.taught_by) == (there.value, there.taught_by)
        assert here.confidence == pytest.approx(there.confidence)
    assert [bool(said_of(engine, one)[1].said.taught_by) for one in batch] == [True, True, False]


def test_an_opened_ticket_has_its_reasons_and_steps_and_nothing_twice(
    agent: TestClient,
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    desk: Desk,
) -> None:
    alone = desk.ticket(**JAM)
    ticket = came_in(JAM)
    assert service.catch_up() == 1
    before = said_of(engine, ticket)
    assert not any(one.said.words_for for one in before)
    page = soup(agent.get(f"/tickets/{ticket.id}").text)
    same = soup(agent.get(f"/tickets/{alone.id}").text)
    for selector in ("#suggestions", "#prediction-category q"):
        shown, expected = page.select(selector), same.select(selector)
        assert [one.get_text() for one in shown] == [one.get_text() for one in expected] != []
    assert "being prepared" not in page.get_text()
    assert not service.complete(ticket.id)
    assert not service.complete_next()
    assert [one.id for one in said_of(engine, ticket)] == [one.id for one in before]
    assert len(entries(engine, ticket)) == len(entries(engine, alone)) == 1
    assert entries(engine, ticket) == entries(engine, alone)


def test_scripts_get_the_reasons_too(
    api: TestClient, service: TriageService, came_in: Callable[..., Ticket]
) -> None:
    ticket = came_in(VPN)
    assert service.catch_up() == 1
    category = api.get(f"/api/tickets/{ticket.id}").json()["predictions"][0]
    assert category["words_for"]


def test_a_verdict_between_the_steps_is_kept(
    service: TriageService, engine: Engine, came_in: Callable[..., Ticket], desk: Desk
) -> None:
    ticket = came_in(VPN)
    assert service.catch_up() == 1
    desk.services.tickets.change(ticket.id, {"category": "access"}, by=desk.user)
    assert service.complete_next()
    (said,) = (one for one in said_of(engine, ticket) if one.said.field is Field.CATEGORY)
    assert (said.verdict, said.settled_by) == (Verdict.REPLACED, desk.user.email)
    assert (said.settled_from, said.settled_to) == ("network", "access")
    assert said.said.words_for


def test_words_of_a_text_that_was_changed_explain_nothing(
    service: TriageService, engine: Engine, came_in: Callable[..., Ticket]
) -> None:
    ticket = came_in(VPN)
    assert service.catch_up() == 1
    with writing(engine) as conn:
        tickets.change(conn, tickets.get(conn, ticket.id), now=utc_now(), **JAM)
    assert service.complete(ticket.id)
    assert not any(one.said.words_for for one in said_of(engine, ticket))


def test_steps_of_an_earlier_text_go_with_a_batch(
    service: TriageService, engine: Engine, desk: Desk
) -> None:
    ticket = desk.ticket(**JAM)
    nonsense = {"subject": "Zzqx wvvk", "description": "Brrlp"}
    desk.services.tickets.change(ticket.id, nonsense, by=desk.user)
    assert service.catch_up() == 1
    with reading(engine) as conn:
        assert suggestions.of_ticket(conn, ticket.id) == ()


def test_a_reader_is_told_while_the_reasons_cannot_be_made_yet(
    agent: TestClient, service: TriageService, came_in: Callable[..., Ticket], desk: Desk
) -> None:
    ticket = came_in(JAM)
    assert service.catch_up() == 1
    desk.services.similar.start()
    text = soup(agent.get(f"/tickets/{ticket.id}").text).get_text()
    assert "Reasons are being prepared." in text
    assert "Suggested steps are being prepared." in text
    assert "Category: Hardware" in card(agent, f"/tickets/{ticket.id}")
    desk.services.similar.keep_fresh()
    assert service.complete_next()
    assert "being prepared" not in soup(agent.get(f"/tickets/{ticket.id}").text).get_text()


def test_a_create_from_such_a_ticket_has_its_suggestions(
    app: FastAPI, instance: Instance, service: TriageService, came_in: Callable[..., Ticket]
) -> None:
    ticket = came_in(JAM)
    assert service.catch_up() == 1
    assert "AI Suggestions" in pushed(app, instance, ticket.id)["description"]


def test_the_worker_triages_everything_before_it_makes_reasons(
    app: FastAPI, engine: Engine, came_in: Callable[..., Ticket]
) -> None:
    for _ in range(2):
        came_in(JAM)
    left: list[tuple[int, int]] = []

    def pause() -> None:
        left.append((len(ids(engine, tickets.untriaged)), len(ids(engine, tickets.unexplained))))
        if len(left) == 2:
            came_in(VPN)

    app.state.services.background.keep_up(pause=pause)
    assert left == [(2, 0), (0, 2), (1, 1), (0, 2), (0, 1)]
    assert ids(engine, tickets.untriaged) == ids(engine, tickets.unexplained) == []


def test_scripts_are_told_while_the_reasons_are_being_prepared(
    api: TestClient,
    requester: TestClient,
    service: TriageService,
    came_in: Callable[..., Ticket],
    desk: Desk,
) -> None:
    ticket = came_in(JAM, requester_email="requester@example.com")
    path = f"/api/tickets/{ticket.id}"
    assert service.catch_up() == 1
    desk.services.similar.start()
    early = api.get(path).json()
    assert early["reasons_pending"] is True
    assert [one["words_for"] for one in early["predictions"]] == [[], []]
    assert requester.get(path).json()["reasons_pending"] is False
    desk.services.similar.keep_fresh()
    later = api.get(path).json()
    assert later["reasons_pending"] is False
    assert later["predictions"][0]["words_for"]


UNREADABLE = {"subject": "Unreadable", "description": "Unreadable hunter2"}


@pytest.fixture
def broken_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes triage break on every text with a word in it."""

    def breaks(word: str) -> None:
        def refusing(really: Callable[..., Any]) -> Callable[..., Any]:
            def triage(self: TriageEngine, *texts: Any, **rules: Any) -> Any:
                if word in str(texts):
                    raise ValueError(f"cannot read {texts}")
                return really(self, *texts, **rules)

            return triage

        for name in ("triage", "triage_all"):
            monkeypatch.setattr(TriageEngine, name, refusing(getattr(TriageEngine, name)))

    return breaks


def test_a_text_that_breaks_triage_holds_up_no_other(
    app: FastAPI,
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    broken_by: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken_by("Unreadable")
    first, bad, last = came_in(JAM), came_in(UNREADABLE), came_in(VPN)
    assert service.catch_up() == 3
    assert [len(said_of(engine, ticket)) for ticket in (first, bad, last)] == [2, 0, 2]
    (told,) = (one.getMessage() for one in caplog.records if one.levelname == "ERROR")
    assert told.startswith(f"triage cannot read ticket {bad.id}: ValueError in triage, line ")
    assert "hunter2" not in caplog.text
    app.state.services.background.keep_up()
    assert ids(engine, tickets.untriaged) == ids(engine, tickets.unexplained) == []


def test_two_of_them_alone_hold_up_nothing_either(
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    broken_by: Callable[[str], None],
) -> None:
    broken_by("Unreadable")
    for _ in range(2):
        came_in(UNREADABLE)
    assert service.catch_up() == 2
    assert ids(engine, tickets.untriaged) == []


def test_tickets_wait_while_the_engine_itself_is_broken(
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    broken_by: Callable[[str], None],
) -> None:
    broken_by("")
    ticket = came_in(JAM)
    with pytest.raises(ValueError, match="cannot read"):
        service.catch_up()
    assert ids(engine, tickets.untriaged) == [ticket.id]


def test_a_text_that_cannot_be_explained_keeps_its_prediction(
    agent: TestClient,
    service: TriageService,
    engine: Engine,
    came_in: Callable[..., Ticket],
    broken_by: Callable[[str], None],
) -> None:
    ticket, other = came_in(JAM), came_in(VPN)
    assert service.catch_up() == 2
    broken_by("paper jam")
    assert "Category: Hardware" in card(agent, f"/tickets/{ticket.id}")
    assert ids(engine, tickets.unexplained) == [other.id]


def test_a_new_ticket_is_taken_though_its_text_breaks_triage(
    agent: TestClient,
    service: TriageService,
    engine: Engine,
    broken_by: Callable[[str], None],
) -> None:
    broken_by("Unreadable")
    answer = agent.post("/tickets", data=UNREADABLE, follow_redirects=False)
    assert answer.status_code == 303
    service.catch_up()
    assert ids(engine, tickets.untriaged) == []
    assert agent.get(answer.headers["Location"]).status_code == 200
