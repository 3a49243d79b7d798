"""How fast a text's similar tickets are found among 100,000, beside the bare full-text query."""

import random
import resource

import pytest
from fastapi import FastAPI

from app.db import search, similar
from app.db.engine import reading
from app.db.tables import ticket_terms
from app.services.copilot.similar import SimilarService
from tests.benchmarks.crowd import SEED, fill, sentences, word
from tests.benchmarks.test_pages import measured

pytestmark = pytest.mark.benchmark


def test_similar_ones_among_a_hundred_thousand(app: FastAPI) -> None:
    engine = app.state.engine
    fill(engine)
    service: SimilarService = app.state.services.similar
    # The first words of the crowd's own tickets: what was resolved is to be found again.
    asked = sentences(random.Random(SEED))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    service.keep_fresh()

    found = 0

    def look() -> None:
        nonlocal found
        words = next(asked)
        found += len(service.to_text(" ".join(words[:8]), " ".join(words[8:30])))

    mean, slow = measured(look)
    assert found
    common, common_slow = measured(lambda: service.to_text(word(2), f"{word(5)} {word(9)}"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    def bare() -> None:
        words = sorted(set(next(asked)), reverse=True)[:3]
        with reading(engine) as conn:
            query = similar.query_of(conn, [(one,) for one in words])
            conn.execute(search.ids_matching(conn, ticket_terms, query).limit(200)).all()

    floor, _ = measured(bare)
    print(
        f"\nsimilar: median {mean:.1f} ms, p95 {slow:.1f} ms (bare {floor:.1f} ms);"
        f" common words only: median {common:.1f} ms, p95 {common_slow:.1f} ms;"
        f" memory {grown:.0f} MB more"
    )
