"""A filled database of an earlier version is upgraded: nothing is lost, and the app works on it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import DateTime, Engine, MetaData, Table, delete, select, text

from app.copilot.engine import TriageEngine
from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.main import create_app
from app.settings import Settings
from tests.conftest import PASSWORD, SAME_ORIGIN, Clock
from tests.html import soup

# What the app wrote at revision 0035: linked, queued, blocked and resolved tickets, a conflict, an
# import, corrections, articles, tokens. Full-text tables are left out: they are written anew.
FILLED = Path(__file__).parent / "data" / "filled_0035.jsonl"
# Values that a later migration replaced.
REPLACED = {"ticket_events": {"fields"}}
Rows = dict[str, list[dict[str, Any]]]


def filled() -> Rows:
    rows: Rows = {}
    for line in FILLED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.setdefault(row.pop("table"), []).append(row)
    return rows


def tables_of(engine: Engine) -> dict[str, Table]:
    found = MetaData()
    names = filled()
    found.reflect(engine, only=lambda name, _: name in names)
    return {table.name: table for table in found.sorted_tables}


def written(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The values as the database takes them; times are in UTC."""
    return {
        name: datetime.fromisoformat(value).replace(tzinfo=UTC)
        if isinstance(table.c[name].type, DateTime)
        else value
        for name, value in row.items()
    }


def fill(engine: Engine, rows: Rows) -> None:
    with writing(engine) as conn:
        for name, table in tables_of(engine).items():
            conn.execute(delete(table))
            for row in rows[name]:
                conn.execute(table.insert().values(written(table, row)))
            if "id" in table.c and conn.dialect.name == "postgresql" and name != "installation":
                last = max(row["id"] for row in rows[name])
                conn.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last})"))


def plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    return value


def kept(engine: Engine) -> Rows:
    with reading(engine) as conn:
        return {
            name: [dict(row) for row in conn.execute(select(table)).mappings()]
            for name, table in tables_of(engine).items()
        }


@pytest.fixture
def old(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url)
    migrate.upgrade(engine, "0035")
    fill(engine, filled())
    yield engine
    engine.dispose()


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_every_row_and_value_is_kept(old: Engine) -> None:
    before = kept(old)
    assert {name: len(rows) for name, rows in before.items()} == {
        name: len(rows) for name, rows in filled().items()
    }
    migrate.upgrade(old)
    after = kept(old)
    for name, rows in before.items():
        gone = REPLACED.get(name, set())
        for row in rows:
            same = {key: plain(value) for key, value in row.items() if key not in gone}
            assert any(
                same == {key: plain(one.get(key, "gone")) for key in same} for one in after[name]
            ), (name, row)


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_the_app_works_on_it(old: Engine, triage: TriageEngine, clock: Clock) -> None:
    settings = Settings(
        database_url=old.url.render_as_string(hide_password=False),
        secret_key="a secret key for tests only",
        public_url="http://testserver",
    )
    app = create_app(settings, load_triage=lambda: triage, now=clock, engine=old)
    app.state.services.knowledge.index_missing()
    browser = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    login = {"email": "admin@example.com", "password": PASSWORD}
    assert browser.post("/login", data=login).status_code == 303
    listed = soup(browser.get("/tickets", params={"q": "printer"}).text)
    assert "Printer on floor 3 jams" in listed.get_text()
    pages = ["/", "/articles", "/servicenow", "/servicenow/history", "/servicenow/outbox"]
    pages += ["/servicenow/mapping", "/admin/copilot", "/admin/users"]
    pages += [f"/tickets/{row['id']}" for row in filled()["tickets"]]
    for path in pages:
        answer = browser.get(path)
        assert answer.status_code == 200, (path, answer.text[:300])
    assert "ServiceNow refuses this update." in browser.get("/servicenow/outbox").text
    assert "Shared drive very slow" in browser.get("/tickets/4").text
