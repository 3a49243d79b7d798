"""The next steps that triage suggested for a ticket."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from app.db.tables import suggestions
from app.models import Suggestion


def store(conn: Connection, ticket_id: int, steps: Sequence[Suggestion]) -> None:
    """Replace the steps of a ticket."""
    conn.execute(suggestions.delete().where(suggestions.c.ticket_id == ticket_id))
    if steps:
        conn.execute(
            suggestions.insert(),
            [
                {
                    "ticket_id": ticket_id,
                    "position": position,
                    "text": step.text,
                    "source": step.source,
                    "source_title": step.source_title,
                    "public": step.public,
                }
                for position, step in enumerate(steps)
            ],
        )


def of_ticket(conn: Connection, ticket_id: int) -> tuple[Suggestion, ...]:
    """The steps in their order."""
    query = (
        select(suggestions)
        .where(suggestions.c.ticket_id == ticket_id)
        .order_by(suggestions.c.position)
    )
    return tuple(
        Suggestion(
            text=row["text"],
            source=row["source"],
            source_title=row["source_title"],
            public=row["public"],
        )
        for row in conn.execute(query).mappings()
    )
