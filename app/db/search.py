"""The full-text index: whoever writes a text writes its words in the same transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Select, column, delete, func, select, table, text
from sqlalchemy.sql.schema import Table

from app.copilot.words import other_words, problem_words, words
from app.db.tables import article_terms, articles, incident_terms, incidents, ticket_terms, tickets
from app.db.upserts import upsert
from app.models import Incident

SHORTEST_PREFIX = 2


def index_tickets(conn: Connection, ticket_ids: Iterable[int]) -> None:
    """Write the words of these tickets as they are now."""
    columns = (
        tickets.c.id,
        tickets.c.subject,
        tickets.c.description,
        tickets.c.requester_email,
        tickets.c.resolution_notes,
    )
    found = conn.execute(select(*columns).where(tickets.c.id.in_(list(ticket_ids)))).all()
    rows = []
    for ticket_id, subject, description, requester, notes in found:
        problem = problem_words(subject, description)
        rest = other_words((subject, description, requester, notes), but=problem)
        rows.append(_terms(problem, rest) | {"ticket_id": ticket_id})
    upsert(conn, ticket_terms, rows)


def index_articles(conn: Connection, slugs: Iterable[str]) -> None:
    """Write the words of these articles as they are now; a deleted one has none."""
    columns = (articles.c.id, articles.c.title, articles.c.keywords, articles.c.body)
    wanted = select(*columns, articles.c.deleted_at).where(articles.c.slug.in_(list(slugs)))
    rows = []
    for article_id, title, keywords, body, deleted_at in conn.execute(wanted).all():
        problem = [] if deleted_at else problem_words(f"{title}\n{keywords}", body)
        rest = [] if deleted_at else other_words((body,), but=problem)
        rows.append(_terms(problem, rest) | {"article_id": article_id})
    upsert(conn, article_terms, rows)


def index_incidents(conn: Connection, found: Iterable[Incident]) -> None:
    """Write the words of the incidents that say how they were resolved."""
    rows = []
    for incident in found:
        if incident.close_notes.strip():
            problem = problem_words(incident.short_description, incident.description)
            rest = other_words((incident.close_notes,), but=problem)
            rows.append(_terms(problem, rest) | {"sys_id": incident.sys_id})
    upsert(conn, incident_terms, rows, keys=("sys_id",))


def forget_incidents(conn: Connection, sys_ids: Sequence[str]) -> None:
    """Drop the words of incidents that may have changed: `index_missing` writes them anew."""
    conn.execute(delete(incident_terms).where(incident_terms.c.sys_id.in_(sys_ids)))


def index_missing(conn: Connection, *, limit: int) -> int:
    """Write words for some of what was here before the index; how many."""
    known = select(ticket_terms.c.ticket_id)
    unread = select(tickets.c.id).where(tickets.c.id.not_in(known)).limit(limit)
    ticket_ids = conn.execute(unread).scalars().all()
    index_tickets(conn, ticket_ids)
    columns = [incidents.c[name] for name in Incident._fields]
    known = select(incident_terms.c.sys_id)
    told = func.trim(incidents.c.close_notes) != ""
    resolved = select(*columns).where(told, incidents.c.sys_id.not_in(known)).limit(limit)
    found = [Incident(**row) for row in conn.execute(resolved).mappings()]
    index_incidents(conn, found)
    return len(ticket_ids) + len(found)


def _terms(problem: Sequence[str], rest: Sequence[str]) -> dict[str, object]:
    return {"problem": " ".join(problem), "rest": " ".join(rest)}


def ids_with_all(conn: Connection, terms: Table, q: str) -> Select[int]:
    """The keys of what holds every word of `q`; longer words also match as beginnings."""
    asked = words(q)
    if not asked:
        return select(key_of(terms)).where(text("1 = 0"))
    mark = "*" if conn.dialect.name == "sqlite" else ":*"
    parts = [quoted(conn, word) + (mark if _prefix(word) else "") for word in asked]
    joiner = " AND " if conn.dialect.name == "sqlite" else " & "
    return ids_matching(conn, terms, joiner.join(parts))


def ids_matching(conn: Connection, terms: Table, query: str) -> Select[int]:
    """The keys of what matches `query`, which is in the database's own query language."""
    if conn.dialect.name == "sqlite":
        index = terms.name.replace("_terms", "_words")
        matches = text(f"{index} MATCH :query").bindparams(query=query)
        return select(column("rowid")).select_from(table(index)).where(matches)
    matches = text(f"{terms.name}.words @@ CAST(:query AS tsquery)").bindparams(query=query)
    return select(key_of(terms)).where(matches)


def quoted(conn: Connection, word: str) -> str:
    """One word for a query; `words` lets no character through that would need more."""
    return f'"{word}"' if conn.dialect.name == "sqlite" else f"'{word}'"


def key_of(terms: Table) -> ColumnElement[int]:
    key: ColumnElement[int] = terms.primary_key.columns.values()[0]
    return key


def _prefix(word: str) -> bool:
    return len(word) >= SHORTEST_PREFIX and not word.isdigit()
