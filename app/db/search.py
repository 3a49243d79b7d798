"""The full-text index: the words of what is written, and what waits for its words.

A person's text is indexed in the transaction that writes it. An import only notes which tickets and
incidents are new; their words are made behind it, without a transaction, and stored if the text is
still the same.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    column,
    delete,
    func,
    select,
    table,
    text,
)
from sqlalchemy.sql.schema import Column, Table

from app.copilot.tokenizer import Group, asked, asked_before, other_words, problem_words
from app.db import bulk
from app.db.tables import (
    article_terms,
    articles,
    incident_terms,
    incidents,
    ticket_terms,
    tickets,
    unindexed,
)

log = logging.getLogger("app.search")
Key = int | str
Words = tuple[list[str], list[str]]


def _ticket_words(row: Sequence[Any]) -> Words | None:
    _, subject, description, requester, notes = row
    problem = problem_words(subject, description)
    return problem, other_words((subject, description, requester, notes), but=problem)


def _article_words(row: Sequence[Any]) -> Words | None:
    _, title, keywords, body, deleted_at = row
    if deleted_at:
        return None
    about = f"{title}\n{keywords}"
    problem = problem_words(about, body)
    return problem, other_words((about, body), but=problem)


def _incident_words(row: Sequence[Any]) -> Words | None:
    _, subject, description, notes = row
    if not notes.strip():
        return None
    problem = problem_words(subject, description)
    return problem, other_words((subject, description, notes), but=problem)


class Noun(NamedTuple):
    """What can be found: its table of words, which column there names it, and what is read of it.

    The first of `columns` is its key; `words` answers None for what has no words.
    """

    name: str
    terms: Table
    key: str
    columns: tuple[Column[Any], ...]
    words: Callable[[Sequence[Any]], Words | None]

    def ref(self, key: Key) -> str:
        """A key as text, in an order in which the newest ticket is the last."""
        return f"{key:010}" if isinstance(key, int) else key

    def words_of(self, row: Sequence[Any]) -> Words | None:
        """The words of one text. One that breaks this has none, and holds up no other."""
        try:
            return self.words(row)
        except Exception as exc:  # noqa: BLE001 The message might quote the text.
            log.error("%s %s cannot be indexed: %s", self.name, row[0], type(exc).__name__)
            return None

    def key_of(self, ref: str) -> Key:
        return ref if self is INCIDENT else int(ref)


TICKET = Noun(
    "ticket",
    ticket_terms,
    "ticket_id",
    tuple(
        tickets.c[name]
        for name in ("id", "subject", "description", "requester_email", "resolution_notes")
    ),
    _ticket_words,
)
ARTICLE = Noun(
    "article",
    article_terms,
    "article_id",
    tuple(articles.c[name] for name in ("id", "title", "keywords", "body", "deleted_at")),
    _article_words,
)
INCIDENT = Noun(
    "incident",
    incident_terms,
    "sys_id",
    tuple(
        incidents.c[name] for name in ("sys_id", "short_description", "description", "close_notes")
    ),
    _incident_words,
)
NOUNS = (TICKET, ARTICLE, INCIDENT)


def index_tickets(conn: Connection, ticket_ids: Iterable[int]) -> None:
    """Write the words of these tickets as they are now."""
    _index(conn, TICKET, list(ticket_ids))


def index_articles(conn: Connection, slugs: Iterable[str]) -> None:
    """Write the words of these articles as they are now; a deleted one has none."""
    known = select(articles.c.id).where(articles.c.slug.in_(list(slugs)))
    _index(conn, ARTICLE, conn.execute(known).scalars().all())


def index_incidents(conn: Connection, sys_ids: Iterable[str]) -> None:
    """Write the words of the incidents that say how they were resolved."""
    _index(conn, INCIDENT, list(sys_ids))


def _index(conn: Connection, noun: Noun, keys: Collection[Key]) -> None:
    rows = _texts(conn, noun, keys)
    _store(conn, noun, {key: noun.words_of(row) for key, row in rows.items()})


def _texts(
    conn: Connection, noun: Noun, keys: Collection[Key], *, for_update: bool = False
) -> dict[Key, Row[Any]]:
    owner = noun.columns[0]
    query = select(*noun.columns).where(owner.in_(keys)).order_by(owner)
    if for_update:
        query = query.with_for_update()
    return {row[0]: row for row in conn.execute(query)}


def _store(conn: Connection, noun: Noun, found: Mapping[Key, Words | None]) -> None:
    rows = [
        (key, " ".join(words[0]), " ".join(words[1]))
        for key, words in found.items()
        if words is not None
    ]
    bulk.insert(conn, noun.terms, (noun.key, "problem", "rest"), rows, keys=(noun.key,))
    if gone := [key for key, words in found.items() if words is None]:
        conn.execute(delete(noun.terms).where(noun.terms.c[noun.key].in_(gone)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Some of what waits for its words: the texts as they were read, by key."""

    noun: Noun
    keys: tuple[Key, ...]
    texts: Mapping[Key, Row[Any]]

    def words(self) -> dict[Key, Words | None]:
        """The words of the texts; takes a third of a millisecond each, so no transaction."""
        return {key: self.noun.words_of(row) for key, row in self.texts.items()}


def add_waiting(conn: Connection, noun: Noun, keys: Iterable[Key]) -> None:
    """Note that these are new or rewritten, and wait for their words."""
    rows = [(noun.ref(key),) for key in keys]
    same = {"noun": noun.name, "fresh": True}
    bulk.insert(conn, unindexed, ("ref",), rows, same=same, keys=("noun", "ref"))


def waiting(conn: Connection, *, limit: int) -> Waiting | None:
    """The next ones: tickets before incidents, those without any words first, then the newest."""
    for noun in NOUNS:
        query = select(unindexed.c.ref).where(unindexed.c.noun == noun.name)
        query = query.order_by(unindexed.c.fresh.desc(), unindexed.c.ref.desc()).limit(limit)
        keys = tuple(noun.key_of(ref) for ref in conn.execute(query).scalars())
        if keys:
            return Waiting(noun, keys, _texts(conn, noun, keys))
    return None


def store_words(conn: Connection, done: Waiting, words: Mapping[Key, Words | None]) -> None:
    """Store the words of the texts that are still as they were read; the others wait on."""
    noun = done.noun
    now = _texts(conn, noun, done.keys, for_update=True)
    rewritten = {key for key, row in now.items() if row != done.texts.get(key)}
    _store(
        conn, noun, {key: found for key, found in words.items() if key in now.keys() - rewritten}
    )
    refs = [noun.ref(key) for key in done.keys if key not in rewritten]
    conn.execute(delete(unindexed).where(unindexed.c.noun == noun.name, unindexed.c.ref.in_(refs)))


def count_unindexed(conn: Connection) -> int:
    """How many tickets have no words yet, so that no search finds them."""
    query = select(func.count()).where(unindexed.c.noun == TICKET.name, unindexed.c.fresh)
    return conn.execute(query).scalar_one()


def ids_with_all(conn: Connection, terms: Table, q: str) -> Select[int]:
    """The keys of what holds every word of `q`; longer words also match as beginnings."""
    wanted = asked(q)
    if not wanted:
        return select(key_of(terms)).where(text("1 = 0"))
    # What waits to be indexed anew is still found by the words that it has.
    ways = [one for one in (wanted, asked_before(q)) if one]
    queries = dict.fromkeys(
        all_of(conn, [any_of(conn, [_terms(conn, group) for group in word]) for word in way])
        for way in ways
    )
    return ids_matching(conn, terms, any_of(conn, list(queries)))


def _terms(conn: Connection, group: Group) -> str:
    mark = "*" if conn.dialect.name == "sqlite" else ":*"
    return all_of(conn, [quoted(conn, one.word) + (mark if one.prefix else "") for one in group])


def all_of(conn: Connection, parts: Sequence[str]) -> str:
    """A query for what matches every part, in the database's own query language."""
    return _joined(parts, " AND " if conn.dialect.name == "sqlite" else " & ")


def any_of(conn: Connection, parts: Sequence[str]) -> str:
    """A query for what matches any part."""
    return _joined(parts, " OR " if conn.dialect.name == "sqlite" else " | ")


def _joined(parts: Sequence[str], joiner: str) -> str:
    return parts[0] if len(parts) == 1 else f"({joiner.join(parts)})"


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
