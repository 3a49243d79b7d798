"""A correction teaches at once: the same words get the corrected answer from the next ticket on."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select

from app.copilot.same_text import fingerprint, similarity, sketch
from app.db import tables
from app.db.engine import reading
from tests.conftest import Clock
from tests.test_predictions import card, opened, press

LONG = {
    "subject": "Scanner in the mail room sends empty pages",
    "description": (
        "Since the update on Monday the scanner on the ground floor sends empty pages to every "
        "mailbox. Restarting it helped once, for about ten minutes. Two colleagues see the same."
    ),
}


def corrected(agent: TestClient, value: str = "database", **text: str) -> str:
    path = opened(agent, **text)
    assert press(agent, path, "replace", value=value) == 303
    return path


def test_the_same_text_gets_the_correction_at_once_with_its_author(
    agent: TestClient, clock: Clock
) -> None:
    first = corrected(agent)
    assert "New tickets with the same wording will get this value." in card(agent, first)
    path = opened(agent)
    text = card(agent, path)
    assert "Category: Database" in text
    assert "agent corrected a ticket with the same wording, 09:00, just now" in text
    said = agent.get(f"/api{path}").json()["predictions"][0]
    assert (said["value"], said["runner_up"]) == ("database", "network")
    assert said["taught_by"] == "agent@example.com"
    assert agent.get(f"/api{path}").json()["predicted_category"] == "database"


@pytest.mark.parametrize(
    "subject",
    [
        "vpn does NOT connect,   from home!!",
        "Subject: VPN does not connect from home",
    ],
)
def test_spelling_and_mail_headers_make_no_other_text(agent: TestClient, subject: str) -> None:
    corrected(agent)
    assert "Category: Database" in card(agent, opened(agent, subject=subject))


def test_nearly_the_same_text_gets_it_too(agent: TestClient) -> None:
    corrected(agent, **LONG)
    nearly = LONG["description"].replace("Monday", "Tuesday").replace("Two", "Three")
    said = agent.get(f"/api{opened(agent, **LONG | {'description': nearly})}").json()
    assert said["predicted_category"] == "database"
    assert 0.8 <= said["category_confidence"] < 1


def test_another_text_does_not(agent: TestClient) -> None:
    corrected(agent, **LONG)
    other = {"subject": "Scanner wanted", "description": "We need one in the mail room."}
    assert "corrected a ticket" not in card(agent, opened(agent, **other))


def test_the_newest_correction_holds(agent: TestClient) -> None:
    corrected(agent)
    corrected(agent, "access")
    assert "Category: Access" in card(agent, opened(agent))


def test_a_correction_taken_back_is_forgotten(agent: TestClient, engine: Engine) -> None:
    path = corrected(agent)
    agent.patch(f"/api{path}", json={"category": "network"})
    assert "corrected a ticket" not in card(agent, opened(agent))
    with reading(engine) as conn:
        assert conn.execute(select(func.count()).select_from(tables.lesson_marks)).scalar() == 0


def test_where_it_was_not_sure_a_persons_choice_teaches(agent: TestClient) -> None:
    text = {"subject": "qwxz zzkp", "description": "vvfq"}
    corrected(agent, "hardware", **text)
    assert "Category: Hardware" in card(agent, opened(agent, **text))


def test_impact_and_urgency_are_learnt(agent: TestClient) -> None:
    path = opened(agent)
    assert press(agent, path, "replace", "priority", impact="1", urgency="1") == 303
    again = agent.get(f"/api{opened(agent)}").json()
    assert again["predicted_priority"] == "urgent"
    assert (again["predicted_impact"], again["predicted_urgency"]) == (1, 1)


def test_the_sketch_of_a_text_is_small_and_stable() -> None:
    text = f"{LONG['subject']}\n{LONG['description']}"
    marks = sketch(text)
    assert len(marks) == 24
    assert all(0 <= mark < 2**63 for mark in marks)
    assert marks == sketch(text.upper())
    assert fingerprint(text) == fingerprint(text.replace(" ", "  "))
    assert similarity(text, "") == 0.0
    assert sketch("") == ()


def test_a_lesson_is_found_whatever_the_password_in_the_text_is(agent: TestClient) -> None:
    subject = "Badge reader, pw: {}"
    corrected(agent, subject=subject.format("Kanarie-7731x"), description="")
    path = opened(agent, subject=subject.format("4711-99-Zz-hunter"), description="")
    said = agent.get(f"/api{path}").json()
    assert (said["predicted_category"], said["category_confidence"]) == ("database", 1.0)
    assert "agent corrected a ticket" in card(agent, path)
