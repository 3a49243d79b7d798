"""The articles of the knowledge base."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select, update

from app.db import search
from app.db.tables import article_terms, articles
from app.errors import NotFound
from app.models.knowledge import Article, ArticleDraft

NAMES = tuple(Article.__dataclass_fields__)
COLUMNS = tuple(articles.c[name] for name in NAMES)
_kept = articles.c.deleted_at.is_(None)


def _article(row: RowMapping) -> Article:
    return Article(**row)


def get(conn: Connection, slug: str, *, internal: bool = True, for_update: bool = False) -> Article:
    """The article. Raises NotFound, also for an internal one unless `internal`."""
    query = select(*COLUMNS).where(articles.c.slug == slug, _kept)
    if for_update:
        query = query.with_for_update()
    row = conn.execute(query).mappings().first()
    if row is None or not (row["public"] or internal):
        raise NotFound("The article was not found.")
    return _article(row)


def matching(
    conn: Connection, *, q: str, category: str, internal: bool, limit: int
) -> tuple[Article, ...]:
    """Articles by title."""
    query = select(*COLUMNS).where(_kept).order_by(func.lower(articles.c.title)).limit(limit)
    if not internal:
        query = query.where(articles.c.public)
    if category:
        query = query.where(articles.c.category == category)
    if q:
        query = query.where(articles.c.id.in_(search.ids_with_all(conn, article_terms, q)))
    return tuple(_article(row) for row in conn.execute(query).mappings())


def every(conn: Connection) -> tuple[Article, ...]:
    """All that are not deleted."""
    query = select(*COLUMNS).where(_kept).order_by(articles.c.id)
    return tuple(_article(row) for row in conn.execute(query).mappings())


def state(conn: Connection) -> tuple[int, int]:
    """Two numbers that change whenever an article is written or deleted."""
    gone = func.count(articles.c.deleted_at)
    row = conn.execute(select(func.coalesce(func.sum(articles.c.version), 0), gone)).one()
    return row[0], row[1]


def slugs(conn: Connection, among: Sequence[str]) -> frozenset[str]:
    """Those of the given slugs that are taken, deleted articles included."""
    query = select(articles.c.slug).where(articles.c.slug.in_(among))
    return frozenset(conn.execute(query).scalars())


def add(
    conn: Connection, drafts: Iterable[tuple[str, ArticleDraft]], *, by: str | None, now: datetime
) -> None:
    """Insert articles under their slugs."""
    rows = [
        asdict(draft) | {"slug": slug, "created_at": now, "updated_at": now, "updated_by": by}
        for slug, draft in drafts
    ]
    if rows:
        conn.execute(articles.insert(), rows)
        search.index_articles(conn, [row["slug"] for row in rows])


def change(
    conn: Connection, article: Article, draft: ArticleDraft, *, by: str, now: datetime
) -> None:
    """Write a new version of an article that was read in this transaction."""
    conn.execute(
        update(articles)
        .where(articles.c.id == article.id)
        .values(**asdict(draft), version=article.version + 1, updated_at=now, updated_by=by)
    )
    search.index_articles(conn, [article.slug])


def remove(conn: Connection, article: Article, *, by: str, now: datetime) -> None:
    """Delete an article; its slug stays taken."""
    conn.execute(
        update(articles)
        .where(articles.c.id == article.id)
        .values(deleted_at=now, updated_at=now, updated_by=by)
    )
    search.index_articles(conn, [article.slug])
