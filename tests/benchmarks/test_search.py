"""How fast a desk of 100,000 tickets is searched, beside the bare full-text query."""

import httpx
import pytest
from sqlalchemy import select

from app.db import search
from app.db.engine import reading
from app.db.tables import ticket_terms
from tests.benchmarks.crowd import fill, word
from tests.benchmarks.test_pages import measured
from tests.conftest import Live

pytestmark = pytest.mark.benchmark
SEARCHES = {
    "rare": word(15_000),
    "middling": word(300),
    "broad": word(2),
    "two broad": f"{word(2)} {word(5)}",
    "every word": "w0",
}


def test_the_list_of_a_hundred_thousand_is_searched(live: Live) -> None:
    engine = live.app.state.engine
    fill(engine)
    token = live.token()
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {token}"}) as http:
        for name, q in SEARCHES.items():
            page, slow = measured(lambda q=q: http.get("/tickets", params={"q": q}))
            assert http.get("/tickets", params={"q": q}).status_code == 200
            with reading(engine) as conn:
                bare, _ = measured(
                    lambda q=q, conn=conn: conn.execute(
                        select(search.ids_with_all(conn, ticket_terms, q).limit(25).subquery())
                    ).all()
                )
            print(f"\nsearch {name}: median {page:.1f} ms, p95 {slow:.1f} ms (bare {bare:.1f} ms)")
