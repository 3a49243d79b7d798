"""No id is given twice on SQLite, and the tables that were built anew for it lost nothing."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, select, text

from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.db.tables import metadata, outbox, sync_runs, ticket_events, tickets

BEFORE = "0024"
NOW = "2026-01-01 00:00:00.000000"
OLD: dict[str, dict[str, Any]] = {
    "users": {"email": "a@example.com", "password_hash": "x", "role": "agent", "created_at": NOW},
    "tickets": {
        "subject": "The printer jams",
        "description": "Paper",
        "requester_email": "a@example.com",
        "status": "open",
        "created_at": NOW,
        "updated_at": NOW,
        "sn_sys_id": "a" * 32,
        "sn_conflict_since": NOW,
    },
    "ticket_events": {"ticket_id": 1, "kind": "internal_note", "body": "B", "created_at": NOW},
    "ticket_terms": {"ticket_id": 1, "problem": "printer jams", "rest": "paper"},
    "sessions": {"key_hash": "k", "user_id": 1, "created_at": NOW, "expires_at": NOW},
    "outbox": {
        "ticket_id": 1,
        "generation": 1,
        "kind": "create",
        "state": "pending",
        "host": "h",
        "not_before": NOW,
        "created_at": NOW,
        "created_by": "a@example.com",
    },
    "sync_runs": {
        "state": "queued",
        "import_tickets": 1,
        "dry_run": 0,
        "row_limit": 1,
        "query": "",
        "incident_state": "",
        "created_by": "a@example.com",
        "created_at": NOW,
        "reasons": "{}",
    },
    "sync_rows": {
        "run_id": 1,
        "sys_id": "a" * 32,
        "number": "INC1",
        "outcome": "created",
        "reason": "",
        "ticket_id": 7,
    },
    "trained_models": {"state": "done", "asked_at": NOW},
}


def fill(engine: Engine) -> None:
    with writing(engine) as conn:
        for table, row in OLD.items():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
        conn.execute(
            text(
                "INSERT INTO sync_runs (state, import_tickets, dry_run, row_limit, query,"
                " incident_state, created_by, created_at, reasons) SELECT 'running', 0, 0, 9, '',"
                " '', 'b@example.com', created_at, '{}' FROM sync_runs"
            )
        )


@pytest.fixture
def upgraded(tmp_path: Path) -> Engine:
    """A SQLite database of an earlier version, with a row of everything, brought up to date."""
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(engine, BEFORE)
    fill(engine)
    migrate.upgrade(engine)
    return engine


def test_every_row_is_kept(upgraded: Engine) -> None:
    with reading(upgraded) as conn:
        for table, row in OLD.items():
            if table == "sync_runs":
                continue
            kept = conn.execute(text(f"SELECT * FROM {table}")).mappings().one()
            assert {name: kept[name] for name in row} == row, table
        assert conn.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        assert conn.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_of_two_open_pulls_the_older_one_goes_on(upgraded: Engine) -> None:
    with reading(upgraded) as conn:
        states = conn.execute(select(sync_runs.c.state).order_by(sync_runs.c.id)).scalars().all()
    assert states == ["queued", "failed"]


def test_indexes_triggers_search_and_foreign_keys_are_kept(upgraded: Engine) -> None:
    wanted = {index.name for table in metadata.sorted_tables for index in table.indexes}
    with writing(upgraded) as conn:
        names = conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'")
        assert wanted <= set(names.scalars())
        words = text("SELECT rowid FROM ticket_words WHERE ticket_words MATCH 'printer'")
        assert conn.execute(words).scalars().all() == [1]
        conn.execute(delete(tickets))
        assert conn.execute(words).scalars().all() == []
        for table in (ticket_events, outbox):
            assert conn.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_no_id_is_given_twice(upgraded: Engine) -> None:
    with writing(upgraded) as conn:
        # Ticket 7 was undone before: the report of its import still names it.
        row = OLD["tickets"] | {"sn_sys_id": None, "sn_conflict_since": None}
        again = text(
            "INSERT INTO tickets (subject, description, requester_email, status, created_at,"
            " updated_at) VALUES (:subject, :description, :requester_email, :status, :created_at,"
            " :updated_at) RETURNING id"
        )
        first = conn.execute(again, row).scalar_one()
        conn.execute(delete(tickets).where(tickets.c.id == first))
        assert (first, conn.execute(again, row).scalar_one()) == (8, 9)


def test_the_tables_that_want_it_have_it(upgraded: Engine) -> None:
    with reading(upgraded) as conn:
        rows = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        made: dict[str, str] = {row.name: row.sql for row in rows}
    wanted = {
        table.name
        for table in metadata.sorted_tables
        if table.dialect_options["sqlite"]["autoincrement"]
    }
    assert wanted >= {"tickets", "ticket_events", "outbox", "sync_runs"}
    assert {name for name, sql in made.items() if "AUTOINCREMENT" in (sql or "")} == wanted
