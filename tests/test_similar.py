"""Similar: what was resolved before and resembles a ticket, with a match that means something."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.copilot.similarity import Vocabulary, calibrate, cosine, pairs_among, starter_calibration
from app.models.knowledge import SourceKind
from app.services.copilot.similar import SimilarService
from app.simulator import Instance
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup

JAM = ("The label printer jams in the warehouse", "Every label sticks to the roller and tears.")


@pytest.fixture
def similar(app: FastAPI) -> SimilarService:
    service: SimilarService = app.state.services.similar
    return service


def resolved(desk: Desk, subject: str, description: str, notes: str) -> int:
    ticket = desk.ticket(subject, description)
    changes = {
        "status": "resolved",
        "resolution_code": "Solution provided",
        "resolution_notes": notes,
    }
    desk.services.tickets.change(ticket.id, changes, by=desk.user)
    return ticket.id


def test_a_resolved_ticket_is_found_with_its_resolution(agent: TestClient, desk: Desk) -> None:
    old = resolved(desk, *JAM, "Cleaned the roller with alcohol.")
    resolved(desk, "Payroll export is empty", "No rows since May.", "Ran the job again.")
    new = desk.ticket("Label printer in the warehouse jams again", "Labels stick to the roller.")
    card = soup(agent.get(f"/tickets/{new.id}/similar", headers=HTMX).text)
    first = find(card, "li")
    assert find(first, "a")["href"] == f"/tickets/{old}"
    assert "Cleaned the roller with alcohol." in first.get_text()
    assert "% match" in first.get_text()
    assert "Payroll" not in card.get_text()


def test_the_open_ticket_itself_and_unresolved_ones_are_not_offered(
    agent: TestClient, desk: Desk
) -> None:
    desk.ticket(*JAM)
    new = desk.ticket(*JAM)
    card = soup(agent.get(f"/tickets/{new.id}/similar", headers=HTMX).text)
    assert not [link for link in card.select("a") if "/tickets/" in link["href"]]


def test_nothing_similar_is_said_in_a_sentence(agent: TestClient, desk: Desk) -> None:
    new = desk.ticket("Zzqx wvvk", "Brrlp")
    page = agent.get(f"/tickets/{new.id}/similar").text
    assert "No similar resolved tickets" in find(soup(page), "main").get_text()


def test_a_resolved_incident_counts_until_it_is_a_ticket(
    similar: SimilarService, desk: Desk, instance: Instance
) -> None:
    instance.add_incident(
        number="INC0000007",
        short_description=JAM[0],
        description=JAM[1],
        state="6",
        close_code="Solution provided",
        close_notes="Replaced the roller.",
    )
    pulls = desk.services.servicenow.imports
    pulls.start(by="desk@example.com", limit=10)
    pulls.run_due()
    desk.services.knowledge.index_missing()  # as the worker does after a pull
    [match] = similar.to_text(*JAM)
    assert match.source.kind is SourceKind.INCIDENT
    assert match.source.name == "INC0000007"
    assert match.source.resolution == "Replaced the roller."
    pulls.start(by="desk@example.com", limit=10, import_tickets=True)
    pulls.run_due()
    desk.services.knowledge.index_missing()  # as the worker does after a pull
    assert [m.source.kind for m in similar.to_text(*JAM)] == [SourceKind.TICKET]


def test_what_was_solved_alike_many_times_is_shown_once(
    similar: SimilarService, desk: Desk
) -> None:
    for _ in range(7):
        resolved(desk, JAM[0], f"{JAM[1]} It also hums and smells.", "Replaced the roller.")
    likest = resolved(desk, *JAM, "Replaced the roller.")
    resolved(desk, *JAM, "Removed the label from the tray.")
    found = similar.to_text(*JAM)
    assert str(likest) in [match.source.ref for match in found]
    assert sorted(match.source.resolution for match in found) == [
        "Removed the label from the tray.",
        "Replaced the roller.",
    ]


def test_an_article_is_found_by_what_it_is_about(similar: SimilarService) -> None:
    found = similar.to_text("The VPN drops", "The VPN disconnects every few minutes and is slow")
    assert found[0].source.ref == "vpn-drops-or-is-slow"


def test_a_password_in_an_old_resolution_is_not_shown_to_others(
    similar: SimilarService, desk: Desk
) -> None:
    resolved(desk, *JAM, "Set the printer's password: Sommer2024! and restarted it.")
    [match] = similar.to_text(*JAM)
    assert "Sommer2024" not in match.source.resolution
    assert "restarted" in match.source.resolution


def test_a_requester_gets_no_similar_tickets(requester: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(*JAM, requester="requester@example.com")
    assert requester.get(f"/tickets/{ticket.id}/similar").status_code == 403
    assert not soup(requester.get(f"/tickets/{ticket.id}").text).select("#similar")


def test_the_card_comes_by_htmx_and_by_a_link(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket(*JAM)
    card = soup(agent.get(f"/tickets/{ticket.id}").text).select_one("#similar")
    assert card
    assert card["hx-trigger"] == "load"
    assert find(card, "a")["href"] == card["hx-get"]


def test_the_match_is_the_share_of_pairs_that_agreed() -> None:
    pairs = [(0.2, False)] * 60 + [(0.2, True)] * 40 + [(0.8, True)] * 90 + [(0.8, False)] * 10
    found = calibrate(pairs, basis="desk")
    assert found.of(0.25) == found.bins[0]
    assert found.bins[-1].share == pytest.approx(0.9, abs=0.1)
    assert sum(one.pairs for one in found.bins) == 200
    assert [one.share for one in found.bins] == sorted(one.share for one in found.bins)


def test_too_few_pairs_say_nothing() -> None:
    assert calibrate([(0.5, True)] * 10, basis="desk").of(0.5) is None
    assert calibrate([], basis="desk").of(0.5) is None


def test_the_starter_examples_speak_until_the_desk_can(
    similar: SimilarService, desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.copilot.similar.ENOUGH_PAIRS", 5)
    ticket = desk.ticket(*JAM)
    assert similar.of_ticket(ticket.id).basis == "starter"
    assert starter_calibration().pairs > 1000
    for number in range(12):
        kind = ("printer", "hardware") if number % 2 else ("payroll", "software")
        desk.ticket(f"The {kind[0]} fails w{number % 7} x{number % 5}", category=kind[1])
    clock.forward(days=1)
    similar.keep_fresh()
    assert similar.of_ticket(ticket.id).basis == "desk"


def test_likeness_is_the_cosine_of_weighted_words() -> None:
    texts = [("a", ["vpn", "drops"]), ("a", ["vpn", "drops"]), ("b", ["paper", "jam"])]
    vocabulary = Vocabulary(words for _, words in texts)
    one, other = vocabulary.vector(["vpn", "drops"]), vocabulary.vector(["drops", "vpn"])
    assert cosine(one, other) == pytest.approx(1)
    assert cosine(one, vocabulary.vector(["paper"])) == 0
    found = pairs_among(texts, vocabulary)
    assert [same for _, same in found] == [True, True]
    assert vocabulary.rarest(["vpn", "paper"], limit=1) == ["paper"]
