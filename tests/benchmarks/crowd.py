"""A desk of 100,000 tickets for the benchmarks, made of words that people use unevenly."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from sqlalchemy import Engine, insert

from app.db.engine import writing
from app.db.tables import ticket_terms, tickets

TICKETS = 100_000
SEED = 42
VOCABULARY = 20_000
WORDS = 40
START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("open", "in_progress", "pending", "resolved", "resolved", "resolved", "closed")
CATEGORIES = ("access", "hardware", "network", "software", "database", "inquiry")


def word(rank: int) -> str:
    """The word of this rank: `word(0)` is in most tickets, the last ones in hardly any."""
    return f"w{rank:05}"


def sentences(rng: random.Random) -> Iterator[list[str]]:
    """Tickets' words; the word of rank r is about 1/r as common as the first."""
    ranks = range(VOCABULARY)
    weights = list(accumulate(1 / (rank + 3) for rank in ranks))
    while True:
        yield [word(rank) for rank in rng.choices(ranks, cum_weights=weights, k=WORDS)]


def fill(engine: Engine, *, count: int = TICKETS) -> None:
    """Tickets with their index, half of them resolved, in an empty database.

    Nothing else is done to the database: what the app does not do, a benchmark must not either.
    """
    said = sentences(random.Random(SEED))
    for first in range(1, count + 1, 5_000):
        chunk = [(number, next(said)) for number in range(first, first + 5_000)]
        rows = [_ticket(number, told) for number, told in chunk]
        terms = [
            {"ticket_id": number, "problem": " ".join(told), "rest": "example com"}
            for number, told in chunk
        ]
        # Short transactions: the app that runs beside it must not wait for all of them.
        with writing(engine) as conn:
            conn.execute(insert(tickets), rows)
            conn.execute(insert(ticket_terms), terms)


def _ticket(number: int, told: list[str]) -> dict[str, object]:
    status = STATUSES[number % len(STATUSES)]
    ended = status in ("resolved", "closed")
    return {
        "id": number,
        "subject": " ".join(told[:8]),
        "description": " ".join(told[8:]),
        "requester_email": f"person{number % 500}@example.com",
        "status": status,
        "category": CATEGORIES[number % len(CATEGORIES)],
        "resolution_code": "Solution provided" if ended else None,
        "resolution_notes": "Restarted it and told the requester what to do." if ended else None,
        "triaged_at": START,
        "created_at": START + timedelta(minutes=number),
        "updated_at": START + timedelta(minutes=number * 7919 % TICKETS),
    }
