"""How fast a desk of 100,000 tickets is searched, beside the bare full-text query."""

import time
from functools import partial

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, select, update

from app.db import search
from app.db.engine import reading, writing
from app.db.tables import ticket_terms, tickets
from tests.benchmarks.crowd import fill, word
from tests.benchmarks.test_pages import measured
from tests.conftest import Live, signed_in

pytestmark = pytest.mark.benchmark
SEARCHES = {
    "rare": word(15_000),
    "middling": word(300),
    "broad": word(2),
    "two broad": f"{word(2)} {word(5)}",
    "every word": "w0",
}


def bare_search(conn: Connection, q: str) -> None:
    conn.execute(select(search.ids_with_all(conn, ticket_terms, q).limit(25).subquery())).all()


def test_the_list_of_a_hundred_thousand_is_searched(live: Live) -> None:
    engine = live.app.state.engine
    fill(engine)
    with live.browser() as http:
        for name, q in SEARCHES.items():
            page, slow = measured(partial(http.get, "/tickets", params={"q": q}))
            assert http.get("/tickets", params={"q": q}).status_code == 200
            with reading(engine) as conn:
                bare, _ = measured(partial(bare_search, conn, q))
            print(f"\nsearch {name}: median {page:.1f} ms, p95 {slow:.1f} ms (bare {bare:.1f} ms)")


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_a_search_with_a_filter_and_one_by_a_requester(app: FastAPI, count: int) -> None:
    """CPU of one request, in the database as the app itself leaves it."""
    fill(app.state.engine, count=count)
    agent, requester = signed_in(app, "agent"), signed_in(app, "requester")
    with writing(app.state.engine) as conn:
        mine = {"requester_email": "requester@example.com"}
        conn.execute(update(tickets).where(tickets.c.id % 2 == 0).values(mine))
    for name, q in SEARCHES.items():
        for who, client, query in (
            ("agent, open", agent, {"q": q, "status": "open"}),
            ("agent, unassigned", agent, {"q": q, "assignee": "nobody"}),
            ("requester with half of all tickets", requester, {"q": q}),
        ):
            assert client.get("/tickets", params=query).status_code == 200
            started = time.process_time()
            for _ in range(5):
                client.get("/tickets", params=query)
            spent = 1000 * (time.process_time() - started) / 5
            print(f"\n{count:,} tickets, {name}, {who}: {spent:.1f} ms CPU")
