"""What people decided about tickets, to learn from: texts with their labels."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, func, select

from app.db.tables import predictions, tickets
from app.models.tickets import Priority
from app.models.triage import Field

# The newest of a desk's labels; more would teach little and take long.
MOST = 50_000
AT_ONCE = 500
READ_AT_MOST = 8_000
_text = tickets.c.subject + "\n" + func.substr(tickets.c.description, 1, READ_AT_MOST)


def count(conn: Connection, known: Sequence[str]) -> int:
    """Tickets whose category a person set, accepted or replaced, or ServiceNow gave."""
    query = select(func.count()).select_from(tickets).where(tickets.c.category.in_(known))
    return conn.execute(query).scalar_one()


def categories(conn: Connection, known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(text, category) of those tickets, the oldest first, so that the last label holds."""
    newest = (
        select(tickets.c.id)
        .where(tickets.c.category.in_(known))
        .order_by(tickets.c.id.desc())
        .limit(MOST)
        .subquery()
    )
    query = (
        select(_text, tickets.c.category)
        .join(newest, newest.c.id == tickets.c.id)
        .order_by(tickets.c.id)
    )
    for row in conn.execute(query, execution_options={"yield_per": AT_ONCE}):
        yield row[0], row[1]


def priorities(
    conn: Connection,
) -> Iterator[tuple[str, Priority, tuple[int, int] | None, tuple[int, int] | None]]:
    """(text, priority, impact and urgency as set, as estimated) where a person set a priority."""
    said = predictions.c
    query = (
        select(
            _text,
            tickets.c.priority,
            tickets.c.impact,
            tickets.c.urgency,
            said.impact,
            said.urgency,
        )
        .join(predictions, said.ticket_id == tickets.c.id)
        .where(said.field == Field.PRIORITY, said.superseded_at.is_(None))
        .where(tickets.c.priority.is_not(None), said.settled_by.is_not(None))
        .order_by(tickets.c.id.desc())
        .limit(MOST)
    )
    for row in conn.execute(query, execution_options={"yield_per": AT_ONCE}):
        meant = (row[2], row[3]) if row[2] and row[3] else None
        guessed = (row[4], row[5]) if row[4] and row[5] else None
        yield row[0], Priority(row[1]), meant, guessed
