"""Migrations build what the tables say, and lose nothing on the way."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.schema import CreateIndex

from app.db import events, migrate, search
from app.db.engine import make_engine, reading, writing
from app.db.tables import metadata, ticket_terms
from app.services.articles import ArticleService

# SQLite's full-text tables (`ticket_words`, and what FTS5 keeps beside it) are no tables of ours.
WITHOUT_FULL_TEXT = {"include_name": lambda name, kind, _: kind != "table" or "_words" not in name}


# SQLAlchemy cannot read an index on an expression back: those are compared as they were written.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrations_build_what_the_tables_say(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrate.upgrade(engine)
    with engine.connect() as conn:
        rows = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        written: dict[str, str] = {row.name: row.sql for row in rows}
        for table in metadata.tables.values():
            for index in table.indexes:
                assert written[str(index.name)] == str(CreateIndex(index).compile(engine))
        assert (
            compare_metadata(MigrationContext.configure(conn, opts=WITHOUT_FULL_TEXT), metadata)
            == []
        )
    assert migrate.at_head(engine)


def test_a_database_from_before_the_integration_keeps_its_tickets(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(engine, "0001")
    with writing(engine) as conn:
        conn.execute(
            text(
                "INSERT INTO tickets (subject, description, requester_email, status, created_at,"
                " updated_at) VALUES ('Old', 'kept', 'a@example.com', 'open', '2026-01-01',"
                " '2026-01-01')"
            )
        )
    migrate.upgrade(engine)
    with reading(engine) as conn:
        row = conn.execute(text("SELECT subject, sn_sys_id, sn_generation FROM tickets")).one()
    assert tuple(row) == ("Old", None, 1)


def test_an_installation_has_one_name_for_ever(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'desk.db'}")
    names = []
    for _ in range(2):
        migrate.upgrade(engine)
        with reading(engine) as conn:
            names.append(conn.execute(text("SELECT id FROM installation")).scalar_one())
    assert names[0] == names[1]


OLD_ROWS = """
INSERT INTO tickets (id, subject, description, requester_email, status, created_at, updated_at,
  sn_sys_id) VALUES
  (1, 'Pushed', '', 'a@example.com', 'open', :day, :day, '{sys_id}'),
  (2, 'Queued', '', 'a@example.com', 'open', :day, :day, NULL),
  (3, 'Never pushed', '', 'a@example.com', 'open', :day, :day, NULL);
INSERT INTO ticket_events (id, ticket_id, kind, body, internal, created_at, push) VALUES
  (57, 1, 'internal_note', 'Sent', :true, :day, 'now'),
  (58, 1, 'internal_note', 'Kept here', :true, :day, 'later'),
  (59, 1, 'status', 'Open', :true, :day, NULL);
INSERT INTO outbox (ticket_id, generation, kind, state, host, event_id, sys_id, correlation_id,
  attempts, not_before, claimed_at, created_at, created_by) VALUES
  (1, 1, 'create', 'done', 'h', NULL, '{sys_id}', 'sic-{installation}-1-1', 1, :day, :day, :day,
   ''),
  (2, 1, 'create', 'pending', 'h', NULL, '{sys_id}', 'sic-{installation}-2-1', 0, :day, NULL, :day,
   ''),
  (1, 1, 'note', 'done', 'h', 57, NULL, NULL, 1, :day, :day, :day, '')
"""


def test_keys_and_marks_that_were_sent_are_kept_and_the_rest_is_random(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate.upgrade(engine, "0024")
    installation = "1f0e6c1a-7b2d-4c1e-9a55-0c8d7e6f5a4b"
    values = {"day": "2026-01-01 00:00:00+00:00", "true": True}
    with writing(engine) as conn:
        conn.execute(text("UPDATE installation SET id = :id"), {"id": installation})
        for statement in OLD_ROWS.format(sys_id="a" * 32, installation=installation).split(";"):
            conn.execute(text(statement), {k: v for k, v in values.items() if f":{k}" in statement})
    migrate.upgrade(engine)
    with reading(engine) as conn:
        keys = {row[0]: row[1] for row in conn.execute(text("SELECT id, sn_key FROM tickets"))}
        rows = conn.execute(text("SELECT id, sn_mark FROM ticket_events"))
        marks = {row[0]: row[1] for row in rows}
        sent = conn.execute(
            text("SELECT correlation_id, sys_id, sent_at FROM outbox WHERE kind = 'create'")
        ).all()
    engine.dispose()
    assert keys[1] is None
    assert all(re.fullmatch("[0-9a-f]{32}", keys[number]) for number in (2, 3))
    assert keys[2] != keys[3]
    assert marks[57] == "57-1995b01a"
    assert re.fullmatch("[0-9a-f]{32}", marks[58])
    assert marks[59] is None
    assert sorted((one[0][-3:], one[1], bool(one[2])) for one in sent) == [
        ("1-1", "a" * 32, True),
        ("2-1", "a" * 32, False),
    ]


OLD_ENTRIES = """
INSERT INTO tickets (id, subject, description, requester_email, status, created_at, updated_at)
  VALUES (1, 'Old', '', 'a@example.com', 'open', :day, :day);
INSERT INTO ticket_events (id, ticket_id, kind, author, body, internal, created_at, fields) VALUES
  (1, 1, 'status', 'a@example.com', 'Open → Resolved', :true, :day, NULL),
  (2, 1, 'edit', 'b@example.com', 'subject: A → B', :true, :day, '["subject", "priority"]'),
  (3, 1, 'edit', 'b@example.com', 'subject: B → C', :true, :day, NULL);
INSERT INTO outbox (id, ticket_id, generation, kind, state, host, not_before, created_at,
  created_by, error, error_kind) VALUES
  (1, 1, 1, 'update', 'blocked', 'h', :day, :day, '', 'An old sentence.', 'invalid'),
  (2, 1, 1, 'update', 'pending', 'h', :day, :day, '', NULL, 'conflict'),
  (3, 1, 1, 'update', 'done', 'h', :day, :day, '', NULL, 'network')
"""


def test_old_entries_are_shown_as_they_are_and_tell_which_fields_they_changed(
    empty_url: str,
) -> None:
    engine = make_engine(empty_url)
    migrate.upgrade(engine, "0036")
    values = {"day": "2026-01-01 00:00:00+00:00", "true": True}
    with writing(engine) as conn:
        for statement in OLD_ENTRIES.split(";"):
            conn.execute(text(statement), {k: v for k, v in values.items() if f":{k}" in statement})
    migrate.upgrade(engine)
    with reading(engine) as conn:
        timeline = events.of_ticket(conn, 1, internal=True)
        last = {name: events.last_change(conn, 1, [name]) for name in ("status", "subject", "x")}
        found = conn.execute(text("SELECT id, error, error_kind FROM outbox ORDER BY id")).all()
    engine.dispose()
    bodies = ["Open → Resolved", "subject: A → B", "subject: B → C"]
    assert [event.text for event in timeline] == bodies
    assert {name: event and event.id for name, event in last.items()} == {
        "status": 1,
        "subject": 2,
        "x": None,
    }
    assert [tuple(row) for row in found] == [
        (1, "An old sentence.", "invalid"),
        (2, None, None),
        (3, None, None),
    ]


def test_texts_in_other_scripts_are_indexed_anew_and_found_meanwhile(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(engine, "0028")
    before = {1: ("plain printer", True), 2: ("søren 打印机", True), 3: ("no words yet", False)}
    with writing(engine) as conn:
        for number, (subject, indexed) in before.items():
            conn.execute(
                text(
                    "INSERT INTO tickets (id, subject, description, requester_email, status,"
                    " created_at, updated_at) VALUES (:id, :subject, '', 'a@example.com', 'open',"
                    " '2026-01-01', '2026-01-01')"
                ),
                {"id": number, "subject": subject},
            )
            if indexed:
                conn.execute(
                    text("INSERT INTO ticket_terms VALUES (:id, :subject, '')"),
                    {"id": number, "subject": subject},
                )
    migrate.upgrade(engine)

    def found(q: str) -> list[int]:
        with reading(engine) as conn:
            return list(conn.execute(search.ids_with_all(conn, ticket_terms, q)).scalars())

    with reading(engine) as conn:
        waiting = conn.execute(text("SELECT ref, fresh FROM unindexed ORDER BY ref")).all()
    assert [(int(ref), fresh) for ref, fresh in waiting] == [(2, 0), (3, 1)]
    assert (found("Søren"), found("打印机"), found("plain")) == ([2], [2], [1])
    ArticleService(engine).index_missing()
    assert (found("soren"), found("印机"), found("plain"), found("words")) == ([2], [2], [1], [3])
