"""Migrations build what the tables say, and lose nothing on the way."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.schema import CreateIndex

from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.db.tables import metadata

# SQLite's full-text tables (`ticket_words`, and what FTS5 keeps beside it) are no tables of ours.
WITHOUT_FULL_TEXT = {"include_name": lambda name, kind, _: kind != "table" or "_words" not in name}


# SQLAlchemy cannot read an index on an expression back: those are compared as they were written.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrations_build_what_the_tables_say(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrate.upgrade(engine)
    with engine.connect() as conn:
        written = dict(conn.exec_driver_sql("SELECT name, sql FROM sqlite_master").all())
        for table in metadata.tables.values():
            for index in table.indexes:
                assert written[index.name] == str(CreateIndex(index).compile(engine))
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
