"""The accuracy page: what was said against what people decided, and "Not enough data" under 30."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db import predictions
from app.db.engine import writing
from app.models.tickets import TicketStatus
from app.models.triage import Field, Mode, Prediction, Verdict
from tests.conftest import Clock
from tests.desk import Desk
from tests.html import Element, find, soup


class Past:
    """Predictions that were made and decided on, written straight into the database."""

    def __init__(self, engine: Engine, clock: Clock, ticket_id: int) -> None:
        self.engine = engine
        self.clock = clock
        self.ticket_id = ticket_id

    def add(  # noqa: PLR0913 The columns of a prediction.
        self,
        number: int,
        value: str,
        decided: str | None = None,
        *,
        field: Field = Field.CATEGORY,
        confidence: float = 0.85,
        sure: bool = True,
        verdict: Verdict | None = None,
        model: str = "starter-1",
        days_ago: float = 1,
        taught_by: str | None = None,
    ) -> None:
        now = self.clock.moment - timedelta(days=days_ago)
        said = Prediction(
            field, value, sure=sure, confidence=confidence, model=model, taught_by=taught_by
        )
        if decided and sure and verdict is None:
            verdict = Verdict.ACCEPTED if decided == value else Verdict.REPLACED
        with writing(self.engine) as conn:
            for _ in range(number):
                predictions.add(conn, self.ticket_id, said, mode=Mode.AUTOFILL, now=now)
                last = predictions.find_current(conn, self.ticket_id, field)
                assert last is not None
                if decided:
                    predictions.settle(
                        conn,
                        last.id,
                        verdict or Verdict.NOT_SURE,
                        by="agent@example.com",
                        at=now,
                        before=value,
                        after=decided,
                    )


@pytest.fixture
def past(engine: Engine, clock: Clock, desk: Desk) -> Past:
    ticket = desk.ticket()
    with writing(engine) as conn:
        for field in Field:
            predictions.supersede(conn, [ticket.id], field, now=clock.moment)
    return Past(engine, clock, ticket.id)


def look(agent: TestClient, query: str = "", field: str = "category") -> Element:
    card = soup(agent.get(f"/copilot/accuracy{query}").text).select_one(f"#accuracy-{field}")
    assert card is not None
    return soup(str(card))


def facts(card: Element) -> dict[str, str]:
    names = [one.get_text(strip=True) for one in card.select("dl dt")]
    values = [one.get_text(" ", strip=True) for one in card.select("dl dd")]
    return dict(zip(names, values, strict=True))


def test_what_was_said_is_counted_by_what_people_made_of_it(agent: TestClient, past: Past) -> None:
    past.add(20, "network", "network")
    past.add(5, "network", "network", verdict=Verdict.UNTOUCHED)
    past.add(10, "network", "access")
    past.add(3, "hardware", "software", sure=False, confidence=0.3)
    past.add(1, "hardware")
    found = facts(look(agent))
    assert found["Predicted"].startswith("36 (1 not reviewed yet")
    assert found["Accepted"].startswith("25 (5 unchanged when resolved)")
    assert found["Replaced"] == "10"
    assert found["Not sure"] == "3"
    assert found["Right"] == "20 of 30"


def test_macro_f1_stands_beside_its_baseline(agent: TestClient, past: Past) -> None:
    past.add(30, "network", "network")
    past.add(10, "access", "access")
    said = facts(look(agent))["Macro-F1"]
    assert said == "1.00 over 40 tickets (baseline 0.43)"


def test_under_thirty_no_figure_is_shown(agent: TestClient, past: Past) -> None:
    past.add(29, "network", "network")
    card = look(agent)
    assert facts(card)["Macro-F1"] == "Not enough data (29 reviewed)"
    assert "Right" not in facts(card)
    assert not card.select("#calibration-category svg")
    assert "Not enough data (29)" in find(card, "#calibration-category").get_text()
    assert agent.get("/api/copilot/accuracy").json()["fields"][0]["quality"] is None


def test_calibration_is_drawn_and_written(agent: TestClient, past: Past) -> None:
    past.add(32, "network", "network", confidence=0.85)
    past.add(8, "network", "access", confidence=0.85)
    past.add(30, "access", "access", confidence=0.95)
    card = look(agent)
    points = card.select("#calibration-category circle")
    assert [(point["cx"], point["cy"]) for point in points] == [
        ("261.0", "62.0"),
        ("287.0", "10.0"),
    ]
    cells = [cell.get_text(strip=True) for cell in card.select("#calibration-category tbody td")]
    assert cells[:3] == ["0.8 to 0.9", "0.85", "0.80 (32 of 40)"]
    assert not card.select("[style]")


def test_each_value_has_a_bar_with_its_count(agent: TestClient, past: Past) -> None:
    past.add(40, "network", "network")
    past.add(10, "network", "access")
    rows = look(agent).select("#classes-category tbody tr")
    text = [row.get_text(" ", strip=True) for row in rows]
    assert text == [
        "access Not enough data (0) Not enough data (10)",
        "network 0.80 (40 of 50) 1.00 (40 of 40)",
    ]
    bars = look(agent).select("#classes-category rect.chart-bar")
    assert [bar["width"] for bar in bars] == ["152.0"]


def test_each_model_has_its_row(agent: TestClient, past: Past) -> None:
    past.add(30, "network", "network", model="starter-1")
    past.add(2, "network", "access", model="blend-2")
    rows = look(agent).select("#versions-category tbody tr")
    text = [row.get_text(" ", strip=True) for row in rows]
    assert text == ["blend-2 2 0 2 0 Not enough data (2)", "starter-1 30 30 0 0 1.00 (30 of 30)"]


def test_priority_has_kappa_and_the_recall_of_urgent_ones(agent: TestClient, past: Past) -> None:
    past.add(24, "urgent", "urgent", field=Field.PRIORITY)
    past.add(6, "high", "urgent", field=Field.PRIORITY)
    past.add(40, "low", "low", field=Field.PRIORITY)
    found = facts(look(agent, field="priority"))
    assert found["Urgent tickets found (recall)"] == "24 of 30 (baseline 0)"
    assert found["Quadratic-weighted kappa"].startswith("0.9")
    assert "over 70" in found["Quadratic-weighted kappa"]


def test_the_span_is_chosen_by_a_link(agent: TestClient, past: Past) -> None:
    past.add(30, "network", "network", days_ago=60)
    assert facts(look(agent))["Predicted"].startswith("0 (")
    assert facts(look(agent, "?days=90"))["Predicted"].startswith("30 (")
    assert facts(look(agent, "?days=7"))["Predicted"].startswith("0 (")
    assert agent.get("/api/copilot/accuracy?days=90").json()["fields"][0]["counted"]["predicted"]
    assert agent.get("/api/copilot/accuracy?days=0").status_code == 422


def test_repeating_a_correction_proves_nothing(agent: TestClient, past: Past) -> None:
    past.add(30, "network", "network", confidence=1.0, taught_by="agent@example.com")
    found = facts(look(agent))
    assert found["Accepted"].startswith("30")
    assert found["Macro-F1"] == "Not enough data (0 reviewed)"


def test_the_dashboard_counts_what_triage_did(
    agent: TestClient, requester: TestClient, desk: Desk
) -> None:
    text = {"subject": "VPN does not connect from home", "description": "It times out."}
    desk.ticket(**text, status="resolved")
    corrected = desk.ticket(**text)
    desk.services.tickets.change(corrected.id, {"category": "access"}, by=desk.user)
    desk.set_status(corrected.id, TicketStatus.RESOLVED)
    card = soup(agent.get("/").text).select_one("#triage-counts")
    assert card is not None
    numbers = [one.get_text() for one in card.select("dd")]
    assert numbers == ["2", "1", "0"]
    assert not soup(requester.get("/").text).select("#triage-counts")
