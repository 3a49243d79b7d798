"""Writers of one process take turns."""

import threading
import time

import pytest
from sqlalchemy import Engine, text

from app.db.engine import writing


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
