"""Writers of one process take turns."""

import threading
import time

import pytest
from sqlalchemy import Engine, text

from app.db import engine as database
from app.db.engine import reading, writing
from app.errors import DatabaseAway
from app.web import PAGE_SECONDS


def test_a_click_beside_a_long_import_waits_for_one_page_of_it(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's writers do not wait for each other")
    pages: list[float] = []
    begun = threading.Event()

    def store_pages() -> None:
        for page in range(15):
            with writing(engine) as conn:
                conn.execute(text("UPDATE installation SET id = id"))
                begun.set()
                time.sleep(0.03)
            pages.append(page)

    importing = threading.Thread(target=store_pages)
    importing.start()
    begun.wait(5)
    asked = len(pages)
    with writing(engine) as conn:
        conn.execute(text("UPDATE installation SET id = id"))
        served = len(pages)
    importing.join(10)
    assert len(pages) == 15
    assert served - asked <= 2


def test_a_writer_that_fails_gives_up_its_turn(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine):
        _ = 1 / 0
    with writing(engine) as conn:
        assert conn.execute(text("SELECT count(*) FROM installation")).scalar_one() == 1


def test_a_writer_waits_less_than_its_page(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * database.BUSY_SECONDS < PAGE_SECONDS
    if engine.dialect.name != "sqlite":
        with reading(engine) as conn:
            waits = conn.execute(text("SHOW lock_timeout")).scalar_one()
        assert waits == f"{database.BUSY_SECONDS}s"
        return
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    begun, over = threading.Event(), threading.Event()

    def write_long() -> None:
        with writing(engine):
            begun.set()
            over.wait(10)

    other = threading.Thread(target=write_long)
    other.start()
    begun.wait(5)
    with pytest.raises(DatabaseAway), writing(engine):
        pass
    over.set()
    other.join(10)
    with writing(engine):
        pass


def test_a_nested_write_fails_at_once(engine: Engine) -> None:
    with writing(engine), pytest.raises(RuntimeError), writing(engine):
        pass
    with writing(engine), reading(engine) as conn:
        assert conn.execute(text("SELECT count(*) FROM installation")).scalar_one() == 1


def test_a_locked_file_is_trouble_that_passes(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL is restarted in test_database_away.py")
    other = database.make_engine(engine.url.render_as_string())
    with other.connect() as conn:
        conn.exec_driver_sql("PRAGMA busy_timeout=1")
    with writing(engine), pytest.raises(DatabaseAway), writing(other):
        pass
    other.dispose()
