"""The next steps suggested for a ticket, what they rest on, and what became of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, case, cast, func, or_, select

from app.db.tables import (
    articles,
    incidents,
    suggestion_uses,
    suggestion_votes,
    suggestions,
    tickets,
)
from app.db.upserts import upsert
from app.models.knowledge import SourceFigures, SourceKind, Vote
from app.models.tickets import Suggestion


def store(conn: Connection, ticket_id: int, steps: Sequence[Suggestion]) -> None:
    """Replace the steps of a ticket."""
    clear(conn, [ticket_id])
    rows = [
        {
            "ticket_id": ticket_id,
            "position": position,
            "text": step.text,
            "source": step.source,
            "source_title": step.source_title,
            "public": step.public,
            "kind": step.kind,
        }
        for position, step in enumerate(steps)
    ]
    if rows:
        conn.execute(suggestions.insert(), rows)


def clear(conn: Connection, ticket_ids: Sequence[int]) -> None:
    """Take the steps of these tickets away."""
    conn.execute(suggestions.delete().where(suggestions.c.ticket_id.in_(ticket_ids)))


def of_ticket(conn: Connection, ticket_id: int) -> tuple[Suggestion, ...]:
    """The steps in their order; public as their article is now, none whose source is gone."""
    its = suggestions.c
    rests_on_article = and_(its.kind == SourceKind.ARTICLE, articles.c.id.is_not(None))
    # As numbers: a ticket's id as text has no index. Other sources are no numbers, hence the CASE.
    number = case((its.kind == SourceKind.TICKET, cast(its.source, tickets.c.id.type)))
    here = select(tickets.c.id).where(tickets.c.id == number).correlate(suggestions)
    mirrored = select(incidents.c.sys_id).where(incidents.c.sys_id == its.source)
    query = (
        select(
            its.text,
            its.source,
            its.source_title,
            case((rests_on_article, articles.c.public), else_=False).label("public"),
            its.kind,
        )
        .outerjoin(articles, and_(articles.c.slug == its.source, articles.c.deleted_at.is_(None)))
        .where(
            its.ticket_id == ticket_id,
            or_(
                rests_on_article,
                here.exists(),
                and_(its.kind == SourceKind.INCIDENT, mirrored.exists()),
            ),
        )
        .order_by(its.position)
    )
    return tuple(
        Suggestion(**{**row, "kind": SourceKind(row["kind"]), "public": bool(row["public"])})
        for row in conn.execute(query).mappings()
    )


def count_used(
    conn: Connection, ticket_id: int, text: str | None, *, way: str, now: datetime
) -> None:
    """Note which sources' steps stand in a text that people read; None means all of them."""
    used = {
        (step.kind, step.source)
        for step in of_ticket(conn, ticket_id)
        if text is None or step.text in text
    }
    rows = [
        {"ticket_id": ticket_id, "kind": kind, "source": source, "way": way, "created_at": now}
        for kind, source in sorted(used)
    ]
    upsert(conn, suggestion_uses, rows)


def store_vote(conn: Connection, ticket_id: int, vote: Vote, *, now: datetime) -> None:
    """One vote a person, source and ticket; a second one replaces the first."""
    row = {
        "ticket_id": ticket_id,
        "kind": vote.kind,
        "source": vote.source,
        "author": vote.author,
        "helpful": vote.helpful,
        "why": vote.why,
        "created_at": now,
    }
    upsert(conn, suggestion_votes, [row])


def votes_of(conn: Connection, ticket_id: int, author: str) -> tuple[Vote, ...]:
    """What this person said of the sources of this ticket."""
    its = suggestion_votes.c
    query = select(its.kind, its.source, its.author, its.helpful, its.why)
    rows = conn.execute(query.where(its.ticket_id == ticket_id, its.author == author))
    return tuple(Vote(**{**row, "kind": SourceKind(row["kind"])}) for row in rows.mappings())


def figures(conn: Connection, kind: SourceKind, source: str) -> SourceFigures:
    """How often a source was suggested, used, and found helpful or not."""
    suggested = select(func.count(suggestions.c.ticket_id.distinct())).where(
        suggestions.c.kind == kind, suggestions.c.source == source
    )
    used = select(func.count(suggestion_uses.c.ticket_id.distinct())).where(
        suggestion_uses.c.kind == kind, suggestion_uses.c.source == source
    )
    its = suggestion_votes.c
    helpful = func.coalesce(func.sum(case((its.helpful, 1), else_=0)), 0)
    voted = select(helpful, func.count()).where(its.kind == kind, its.source == source)
    liked, votes = conn.execute(voted).one()
    return SourceFigures(
        suggested=conn.execute(suggested).scalar_one(),
        used=conn.execute(used).scalar_one(),
        helpful=liked,
        not_helpful=votes - liked,
    )
