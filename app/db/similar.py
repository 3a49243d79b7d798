"""What resembles a text: candidates from the full-text index, and what is shown of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.sql.schema import Table

from app.db import search
from app.db.joins import in_order
from app.db.tables import (
    article_terms,
    articles,
    calibrations,
    incident_terms,
    incidents,
    ticket_terms,
    tickets,
)
from app.models.knowledge import Candidate, Source, SourceKind, StoredCalibration

ENDED = ("resolved", "closed")
# Of what is found, the newest so many times the limit are looked at for what can be shown.
LOOKED_AT = 4
Groups = Sequence[Sequence[str]]


def query_of(conn: Connection, groups: Groups) -> str:
    """A query for what holds all words of any group, in the database's own language."""
    return search.any_of(
        conn, [search.all_of(conn, [search.quoted(conn, word) for word in one]) for one in groups]
    )


def resolved_tickets(
    conn: Connection, groups: Groups, *, but: int | None, limit: int
) -> list[Candidate]:
    """Tickets whose resolution is told, the newest first."""
    key = ticket_terms.c.ticket_id
    query = select(key, ticket_terms.c.problem, tickets.c.category).where(
        tickets.c.status.in_(ENDED), tickets.c.resolution_notes != ""
    )
    if but is not None:
        query = query.where(key != but)
    return _candidates(
        conn, query, ticket_terms, SourceKind.TICKET, owner=tickets, groups=groups, limit=limit
    )


def resolved_incidents(conn: Connection, groups: Groups, *, limit: int) -> list[Candidate]:
    """Mirrored incidents with close notes that are no ticket here."""
    here = select(tickets.c.id).where(tickets.c.sn_sys_id == incident_terms.c.sys_id)
    query = select(incident_terms.c.sys_id, incident_terms.c.problem).where(~here.exists())
    return _candidates(conn, query, incident_terms, SourceKind.INCIDENT, groups=groups, limit=limit)


def matching_articles(
    conn: Connection, groups: Groups, *, internal: bool, limit: int
) -> list[Candidate]:
    """Articles the viewer may read."""
    query = select(articles.c.slug, article_terms.c.problem).where(articles.c.deleted_at.is_(None))
    if not internal:
        query = query.where(articles.c.public)
    return _candidates(
        conn, query, article_terms, SourceKind.ARTICLE, owner=articles, groups=groups, limit=limit
    )


def _candidates(
    conn: Connection,
    query: Select[Any],
    terms: Table,
    kind: SourceKind,
    *,
    owner: Table | None = None,
    groups: Groups,
    limit: int,
) -> list[Candidate]:
    """The newest matches that meet the conditions of `query`, on the words or on their owner."""
    if not groups:
        return []
    key = search.key_of(terms)
    ids = search.ids_matching(conn, terms, query_of(conn, groups))
    (found,) = ids.selected_columns
    # In the full-text index's own order SQLite stops at the limit. PostgreSQL must not walk all
    # keys downwards, hoping that the limit comes soon: hence `+ 0`.
    order = found if conn.dialect.name == "sqlite" else found + 0
    newest = ids.order_by(order.desc()).limit(LOOKED_AT * limit).subquery()
    joined = in_order(newest, terms, key == next(iter(newest.c)))
    if owner is not None:
        joined = in_order(joined, owner, next(iter(owner.primary_key)) == key)
    query = query.select_from(joined).order_by(key.desc()).limit(limit)
    return [
        Candidate(kind, str(row[0]), tuple(row[1].split())) for row in conn.execute(query).all()
    ]


def sources(conn: Connection, kind: SourceKind, refs: Sequence[str]) -> dict[str, Source]:
    """What is shown of these, unmasked; those that are gone are left out."""
    query = {
        SourceKind.TICKET: select(
            tickets.c.id, tickets.c.subject, tickets.c.updated_at, tickets.c.resolution_notes
        ).where(tickets.c.id.in_([int(ref) for ref in refs if kind is SourceKind.TICKET])),
        SourceKind.INCIDENT: select(
            incidents.c.sys_id,
            incidents.c.short_description,
            incidents.c.updated_at,
            incidents.c.close_notes,
            incidents.c.number,
        ).where(incidents.c.sys_id.in_(refs)),
        SourceKind.ARTICLE: select(
            articles.c.slug, articles.c.title, articles.c.updated_at, articles.c.body
        ).where(articles.c.slug.in_(refs), articles.c.deleted_at.is_(None)),
    }[kind]
    return {
        str(row[0]): Source(
            kind, str(row[0]), row[1], row[2], row[3] or "", number=row[4] if len(row) > 4 else ""
        )
        for row in conn.execute(query).all()
    }


def sample(conn: Connection, *, limit: int) -> tuple[list[list[str]], int]:
    """The words of the newest tickets, and about how many tickets there are."""
    newest = select(ticket_terms.c.problem).order_by(ticket_terms.c.ticket_id.desc()).limit(limit)
    total = conn.execute(select(func.max(ticket_terms.c.ticket_id))).scalar_one()
    return [row.split() for row in conn.execute(newest).scalars()], total or 0


def labelled(conn: Connection, *, limit: int) -> list[tuple[str, list[str]]]:
    """The newest tickets whose category a person confirmed: category and words."""
    query = (
        select(tickets.c.category, ticket_terms.c.problem)
        .join(ticket_terms, ticket_terms.c.ticket_id == tickets.c.id)
        .where(tickets.c.category.is_not(None))
        .order_by(tickets.c.id.desc())
        .limit(limit)
    )
    return [(category, problem.split()) for category, problem in conn.execute(query).all()]


def confirmed(conn: Connection, refs: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Of these tickets those whose category a person confirmed: (subject, category) by ref."""
    query = select(tickets.c.id, tickets.c.subject, tickets.c.category).where(
        tickets.c.id.in_([int(ref) for ref in refs]), tickets.c.category.is_not(None)
    )
    return {str(row[0]): (row[1], row[2]) for row in conn.execute(query)}


def find_calibration(conn: Connection) -> StoredCalibration | None:
    """The desk's own, if there were enough pairs."""
    query = select(calibrations).order_by(calibrations.c.id.desc()).limit(1)
    row = conn.execute(query).mappings().first()
    return StoredCalibration(tuple(map(tuple, row["bins"])), row["created_at"]) if row else None


def store_calibration(conn: Connection, stored: StoredCalibration) -> None:
    """Replace the desk's own."""
    conn.execute(calibrations.delete())
    conn.execute(calibrations.insert().values(asdict(stored)))
