"""The Copilot on its first day: enough to know, sensible answers, sources that exist."""

from collections import Counter

import pytest

from app.copilot.categories import CATEGORIES
from app.copilot.engine import Engine
from app.copilot.knowledge import load_articles, load_examples, starter_priorities
from app.models import Priority
from app.services.copilot import CopilotService

EVERYDAY = {
    "access": [
        "forgot my password after holidays",
        "pls unlock my account",
        "no permission on Q-drive",
    ],
    "hardware": [
        "printer on floor 2 has a paper jam",
        "laptop battery is dead",
        "screen stays black",
    ],
    "network": [
        "vpn wont connect from home",
        "wifi keeps dropping in the canteen",
        "kein internet",
    ],
    "software": ["excel crashes with macros", "outlook asks for password", "strange phishing mail"],
    "database": ["ORA-01653 unable to extend table", "sql query is slow", "restore deleted rows"],
    "inquiry": ["what are your opening hours?", "how do I book a loan laptop", "is there a guide"],
}


def test_there_are_enough_examples_in_many_voices() -> None:
    examples = load_examples()
    counts = Counter(example.category for example in examples)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= 60
    assert len({example.text for example in examples}) == len(examples)
    assert {(one.impact, one.urgency) for one in starter_priorities()} == {
        (i, u) for i in (1, 2, 3) for u in (1, 2, 3)
    }


def test_articles_are_complete() -> None:
    articles = load_articles()
    assert len(articles) >= 40
    for article in articles:
        assert article.symptoms, article.slug
        assert 3 <= len(article.steps) <= 8, article.slug
        assert article.worked, article.slug
        assert article.escalate, article.slug
    assert {article.category for article in articles} == set(CATEGORIES)
    assert {article.audience for article in articles} == {"public", "internal"}


def test_everyday_tickets_are_mostly_right_and_hardly_ever_wrong(triage: Engine) -> None:
    found = [
        (category, triage.triage(text, "").category.value)
        for category, texts in EVERYDAY.items()
        for text in texts
    ]
    right = [pair for pair in found if pair[0] == pair[1]]
    wrong = [pair for pair in found if pair[1] not in (pair[0], None)]
    assert len(right) >= 14, found
    assert len(wrong) <= 2, wrong


def test_a_mail_is_read_without_its_clutter(triage: Engine) -> None:
    mail = (
        "From: Somebody\nTo: Helpdesk\nSubject: FW: vpn\n\nHello,\n\n"
        "the VPN does not connect from home since this morning.\n\nKind regards\nSomebody\n"
        "Database Administrator | Printers and Laptops Ltd"
    )
    assert triage.triage("FW: vpn", mail).category.value == "network"


def test_words_nobody_knows_are_not_sure(triage: Engine) -> None:
    found = triage.triage("zzqx wvvk", "")
    assert found.category.value is None
    assert found.priority.value is None
    assert found.suggestions == ()


def test_the_whole_site_standing_still_is_urgent(triage: Engine) -> None:
    text = "Nothing works, no network in the whole building, nobody can work"
    assert triage.triage("URGENT", text).priority.value is Priority.URGENT


def test_each_step_comes_from_an_article_that_exists(triage: Engine) -> None:
    steps = triage.triage("Printer offline", "the printer shows offline").suggestions
    assert steps
    for step in steps:
        article = triage.article(step.source_slug)
        assert article is not None
        assert step.text in article.steps


def test_a_knowledge_base_that_cannot_be_read_stops_no_ticket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Engine:
        raise ValueError("access.csv cannot be read")

    found = CopilotService(broken).triage("VPN", "")
    assert found.said == ()
    assert not found.ready
    assert "could not be loaded" in caplog.text
