"""How fast the lists are with 10,000 rows, beside the bare query of the same rows."""

import sqlite3
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, Text, insert

from app.db.engine import writing
from app.db.tables import incidents, tickets
from tests.conftest import Live

pytestmark = pytest.mark.benchmark
ROWS = 10_000
ROUNDS = 60
START = datetime(2026, 1, 1, tzinfo=UTC)


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Median and 95th percentile in ms, after a warm-up."""
    for _ in range(5):
        work()
    spans = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        spans.append(1000 * (time.perf_counter() - started))
    return statistics.median(spans), statistics.quantiles(spans, n=20)[-1]


def fill(engine: Engine) -> None:
    texts = (column.name for column in incidents.columns if isinstance(column.type, Text))
    empty: dict[str, object] = dict.fromkeys(texts, "") | {"mod_count": 0}
    with writing(engine) as conn:
        conn.execute(
            insert(tickets),
            [
                {
                    "subject": f"The printer on floor {number % 40} jams",
                    "description": "Every fifth page. " * 12,
                    "requester_email": f"person{number % 500}@example.com",
                    "status": ("open", "in_progress", "pending", "resolved", "closed")[number % 5],
                    "predicted_priority": ("low", "medium", "high", "urgent")[number % 4],
                    "predicted_category": "hardware",
                    "created_at": START + timedelta(minutes=number),
                    "updated_at": START + timedelta(minutes=number),
                }
                for number in range(ROWS)
            ],
        )
        conn.execute(
            insert(incidents),
            [
                empty
                | {
                    "sys_id": f"{number:032x}",
                    "number": f"INC{number:07}",
                    "short_description": f"Mail of person {number % 500} is slow",
                    "description": "Since this morning. " * 12,
                    "state": "12367"[number % 5],
                    "priority": "12345"[number % 5],
                    "updated_at": START + timedelta(minutes=number),
                    "fetched_at": START,
                }
                for number in range(ROWS)
            ],
        )


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/tickets", "tickets"),
        ("/tickets?status=unfinished&sort=priority", "tickets"),
        ("/tickets?q=floor+7", "tickets"),
        ("/servicenow", "incidents"),
        ("/servicenow?q=person+77", "incidents"),
    ],
)
def test_a_list_of_ten_thousand(live: Live, path: str, table: str) -> None:
    fill(live.app.state.engine)
    file = live.app.state.settings.database_url.removeprefix("sqlite:///")
    raw = sqlite3.connect(file)

    def floor() -> None:
        raw.execute(f"SELECT * FROM {table} ORDER BY updated_at DESC LIMIT 25").fetchall()
        raw.execute(f"SELECT count(*) FROM {table}").fetchone()

    with live.browser() as http:
        assert http.get(path).status_code == 200
        page, slow = measured(lambda: http.get(path))
        alive, _ = measured(lambda: http.get("/healthz"))
    bare, _ = measured(floor)
    raw.close()
    print(
        f"\nGET {path}: median {page:.1f} ms, p95 {slow:.1f} ms"
        f" (bare query {bare:.1f} ms, empty answer {alive:.1f} ms)"
    )
