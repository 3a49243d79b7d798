"""Suggestions: steps with sources that exist and may be read, thumbs, and what was used."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from app.db.engine import reading
from app.db.tables import deflections, suggestion_uses
from app.models.knowledge import SourceKind
from app.models.tickets import Ticket
from app.simulator import Instance
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import find, soup

VPN = ("The VPN drops all the time", "From home the VPN disconnects every few minutes, it is slow")
PUBLIC = "vpn-drops-or-is-slow"
JAM = ("The label printer jams in the warehouse", "Every label sticks to the roller and tears.")


def suggestions_card(browser: TestClient, ticket: Ticket) -> Any:
    return find(soup(browser.get(f"/tickets/{ticket.id}").text), "#suggestions")


def sources(browser: TestClient, ticket: Ticket) -> list[str]:
    return [link["href"] for link in suggestions_card(browser, ticket).select("p > a")]


def vote(browser: TestClient, ticket: Ticket, **typed: str) -> int:
    form = {"kind": "article", "source": PUBLIC, "helpful": "true"} | typed
    return browser.post(f"/tickets/{ticket.id}/suggestions/vote", data=form).status_code


def uses(engine: Engine) -> set[tuple[str, str]]:
    with reading(engine) as conn:
        rows = conn.execute(select(suggestion_uses.c.source, suggestion_uses.c.way)).all()
    return {(source, way) for source, way in rows}


def test_steps_come_from_the_articles_as_people_have_written_them(
    agent: TestClient, desk: Desk
) -> None:
    body = "## Symptoms\n- The zorbl is stuck and blinks\n\n## Steps\n1. Turn the zorbl.\n"
    typed = {"title": "The zorbl is stuck", "category": "hardware", "keywords": "zorbl"}
    agent.post("/articles", data=typed | {"audience": "internal", "body": body})
    ticket = desk.ticket("Zorbl stuck", "The zorbl is stuck and blinks")
    assert sources(agent, ticket) == ["/articles/the-zorbl-is-stuck"]
    assert suggestions_card(agent, ticket).ol.li.get_text() == "Turn the zorbl."


def test_a_source_that_was_deleted_is_listed_no_longer(
    agent: TestClient, admin: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(*VPN)
    assert f"/articles/{PUBLIC}" in sources(agent, ticket)
    admin.post(f"/articles/{PUBLIC}/delete")
    assert f"/articles/{PUBLIC}" not in sources(agent, ticket)
    assert f"/articles/{PUBLIC}" not in sources(agent, desk.ticket(*VPN))


def test_what_solved_the_like_before_is_a_step_for_staff_alone(
    agent: TestClient, requester: TestClient, desk: Desk
) -> None:
    old = desk.ticket(*JAM)
    changes = {
        "status": "resolved",
        "resolution_code": "Solution provided",
        "resolution_notes": "Cleaned the roller with alcohol. PIN: 4711",
    }
    desk.services.tickets.change(old.id, changes, by=desk.user)
    new = desk.ticket(
        "Label printer in the warehouse jams",
        "Labels stick to the roller",
        requester="requester@example.com",
    )
    assert f"/tickets/{old.id}" in sources(agent, new)
    text = suggestions_card(agent, new).get_text()
    assert "Cleaned the roller with alcohol." in text
    assert "4711" not in text
    assert f"/tickets/{old.id}" not in sources(requester, new)
    assert "roller with alcohol" not in requester.get(f"/tickets/{new.id}").text


def test_an_article_made_internal_leaves_the_requesters_page(
    agent: TestClient, requester: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(*VPN, requester="requester@example.com")
    assert f"/articles/{PUBLIC}" in sources(requester, ticket)
    form = soup(agent.get(f"/articles/{PUBLIC}/edit").text)
    typed = {
        "title": "VPN",
        "category": "network",
        "keywords": "",
        "audience": "internal",
        "body": find(form, "textarea").text,
    }
    assert agent.post(f"/articles/{PUBLIC}/edit", data=typed).status_code == 303
    assert f"/articles/{PUBLIC}" not in sources(requester, ticket)
    assert f"/articles/{PUBLIC}" in sources(agent, ticket)


def test_nothing_close_enough_is_said_in_a_sentence(agent: TestClient, desk: Desk) -> None:
    card = suggestions_card(agent, desk.ticket("Zzqx wvvk", "Brrlp"))
    assert "No suggestions." in card.get_text()
    assert not card.select("li, form")


def test_a_vote_is_shown_back_and_counted_on_the_article(
    agent: TestClient, requester: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(*VPN, requester="requester@example.com")
    assert vote(agent, ticket, helpful="false", why="too old") == 303
    assert vote(requester, ticket) == 303
    assert "You rated this not helpful: “too old”." in suggestions_card(agent, ticket).get_text()
    assert "too old" not in requester.get(f"/tickets/{ticket.id}").text
    article = find(soup(agent.get(f"/articles/{PUBLIC}").text), "article").get_text(" ", strip=True)
    assert "helpful 1 time and not helpful 1 time" in article
    vote(agent, ticket, helpful="true")
    article = find(soup(agent.get(f"/articles/{PUBLIC}").text), "article").get_text(" ", strip=True)
    assert "helpful 2 times and not helpful 0 times" in article


def test_only_what_a_person_was_shown_can_be_voted_on(
    requester: TestClient, agent: TestClient, desk: Desk
) -> None:
    theirs = desk.ticket(*VPN, requester="other@example.com")
    assert vote(requester, theirs) == 404
    assert vote(agent, theirs, source="guest-wifi") == 404
    assert vote(agent, theirs, kind="poem") == 422


def test_what_went_into_a_note_is_counted_as_used(
    agent: TestClient, desk: Desk, engine: Engine
) -> None:
    ticket = desk.ticket(*VPN)
    step = desk.services.tickets.detail(ticket.id, desk.user).suggestions[0]
    desk.note(ticket.id, "Something else", internal=True)
    assert uses(engine) == set()
    desk.note(ticket.id, f"Tell them: {step.text}", internal=True)
    assert uses(engine) == {(step.source, "note")}
    article = find(soup(agent.get(f"/articles/{step.source}").text), "article").get_text(
        " ", strip=True
    )
    assert "Suggested on 1 ticket, used on 1" in article


def test_a_push_counts_its_sources_and_names_them_by_number(
    agent: TestClient, desk: Desk, instance: Instance, engine: Engine
) -> None:
    ticket = desk.ticket(*VPN)
    first = desk.services.tickets.detail(ticket.id, desk.user).suggestions[0]
    agent.post(f"/servicenow/tickets/{ticket.id}/incident", headers=HTMX)
    [sent] = [row for row in instance.incidents.values() if VPN[0] in row["short_description"]]
    assert f"1. {first.text} [1]" in sent["description"]
    assert f"[1] {first.source_title}" in sent["description"]
    assert "AI-assisted" in sent["description"]
    assert (first.source, "description") in uses(engine)
    path = f"/servicenow/tickets/{ticket.id}/work-note"
    offered = find(soup(agent.get(path, headers=HTMX).text), "textarea").get_text()
    assert "AI-assisted" in offered
    assert f"[1] {first.source_title}" in offered
    agent.post(path, data={"work_note": offered}, headers=HTMX)
    assert (first.source, "work note") in uses(engine)


# -- ask -------------------------------------------------------------------------------------


def asked(browser: TestClient, text: str) -> Any:
    return soup(browser.post("/ask", data={"text": text, "key": "k1"}, headers=HTMX).text)


def test_asking_shows_public_steps_while_one_types(requester: TestClient) -> None:
    page = soup(requester.get("/ask").text)
    box = find(page, "textarea")
    assert box["hx-trigger"].startswith("input changed")
    assert not page.select("#answers details")
    found = asked(requester, "my vpn keeps dropping at home, it is so slow")
    assert find(found, "section#answers details summary").get_text()
    links = [link["href"] for link in found.select("a")]
    assert f"/articles/{PUBLIC}" in links
    for link in links:
        assert requester.get(link).status_code == 200


def test_asking_works_without_scripts(requester: TestClient) -> None:
    page = soup(requester.post("/ask", data={"text": "vpn drops and is slow", "key": "k"}).text)
    assert find(page, "title")
    assert page.select("#answers details")
    assert find(page, "textarea").text.strip() == "vpn drops and is slow"
    nothing = soup(requester.post("/ask", data={"text": "zzqx", "key": "k"}).text)
    assert "No article matches" in find(nothing, "#answers").get_text()


def test_no_internal_article_answers_a_question(requester: TestClient, agent: TestClient) -> None:
    for browser in (requester, agent):
        found = asked(browser, "database server not reachable, DNS name does not resolve")
        shown = {link["href"].rsplit("/", 1)[1] for link in found.select("a")}
        assert shown.isdisjoint({"database-not-reachable", "dns-name-does-not-resolve"})


def test_that_helped_counts_once_and_keeps_no_secret(
    requester: TestClient, agent: TestClient, engine: Engine
) -> None:
    typed = {"text": "vpn slow, my password: Sommer2024", "key": "k1", "slug": PUBLIC}
    for _ in range(2):
        answer = requester.post("/ask/helped", data=typed)
        assert answer.status_code == 303
    page = soup(requester.get(answer.headers["location"]).text)
    assert "No ticket was created" in find(page, "main").get_text()
    with reading(engine) as conn:
        rows = conn.execute(select(deflections.c.slug, deflections.c.question)).all()
    assert [slug for slug, _ in rows] == [PUBLIC]
    assert "Sommer2024" not in rows[0][1]
    assert requester.get("/api/tickets").json()["tickets"] == []
    stats = soup(agent.get("/").text).select(".stat")
    texts = [stat.get_text(" ", strip=True) for stat in stats]
    counted = [text for text in texts if "Solved by an article" in text]
    assert counted[0].startswith("1 ")


def test_an_article_one_may_not_read_cannot_have_helped(requester: TestClient) -> None:
    typed = {"text": "x", "key": "k", "slug": "database-not-reachable"}
    assert requester.post("/ask/helped", data=typed).status_code == 404


def test_a_question_becomes_a_triaged_ticket(requester: TestClient) -> None:
    text = "Printer on floor 2 shows offline\r\nNothing comes out, the queue is full"
    for _ in range(2):
        answer = requester.post("/ask/ticket", data={"text": text, "key": "k1"})
        assert answer.status_code == 303
    [ticket] = requester.get("/api/tickets").json()["tickets"]
    assert answer.headers["location"] == f"/tickets/{ticket['id']}"
    assert ticket["subject"] == "Printer on floor 2 shows offline"
    assert ticket["predicted_category"] == "hardware"
    assert ticket["requester_email"] == "requester@example.com"


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 100_001], ids=["empty", "blank", "too long"])
def test_a_ticket_needs_words_and_not_too_many(requester: TestClient, text: str) -> None:
    answer = requester.post("/ask/ticket", data={"text": text, "key": "k"})
    assert answer.status_code == 422
    assert soup(answer.text).select_one("#form-errors")


def test_similar_tickets_need_words_to_be_steps(app: FastAPI, desk: Desk) -> None:
    old = desk.ticket(*JAM)
    done = {"status": "resolved", "resolution_code": "User error", "resolution_notes": "Done."}
    desk.services.tickets.change(old.id, done, by=desk.user)
    like = app.state.services.similar.to_text(*JAM)
    assert like
    steps = app.state.services.suggestions.steps(*JAM, like=like)
    assert not [step for step in steps if step.kind is SourceKind.TICKET]
