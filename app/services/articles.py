"""The knowledge base: list, search, read, write and delete articles."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from app.copilot.articles import drafted
from app.copilot.categories import CATEGORIES
from app.copilot.knowledge import load_starters, starter_slugs
from app.copilot.secrets.redact import masked
from app.db import articles, migrate, search, tickets
from app.db.engine import reading, refresh_statistics, utc_now, writing
from app.errors import Conflict, Invalid, NotAllowed
from app.models.accounts import Role, User
from app.models.form_basis import Basis
from app.models.knowledge import Article, ArticleDraft, ArticleList
from app.services.tickets.edit_conflict import edit_conflict

LISTED_AT_MOST = 500
INDEXED_AT_ONCE = 250
# After this many rows the database's statistics are refreshed.
VERY_MANY = 1_000
SLUG_LENGTH = 80
TITLE_LENGTH = 200
# Paths under /articles that are not articles.
RESERVED = ("new",)
# Fields that have another name in the form.
FORM_NAMES = {"public": "audience"}


class ArticleService:
    """Requesters read public articles, agents read and write all, administrators also delete."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now

    def load_starters(self) -> None:
        """Add the starter articles that were never added; edited or deleted ones stay so."""
        known = starter_slugs()
        with reading(self._engine) as conn:
            if len(articles.slugs(conn, known)) == len(known):
                return
        with writing(self._engine) as conn:
            migrate.one_at_a_time(conn)
            missing = sorted(set(known) - articles.slugs(conn, known))
            drafts = [
                (
                    starter.slug,
                    ArticleDraft(
                        title=starter.title,
                        category=starter.category,
                        public=starter.audience == "public",
                        keywords=starter.keywords,
                        body=starter.body,
                    ),
                )
                for starter in load_starters(missing)
            ]
            articles.add(conn, drafts, by=None, now=self._now())

    def index_missing(
        self,
        *,
        stopping: Callable[[], bool] = lambda: False,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        """Index articles and tickets that wait for it; `pause` is called after each batch."""
        done = 0
        while not stopping():
            with reading(self._engine) as conn:
                batch = search.waiting(conn, limit=INDEXED_AT_ONCE)
            if batch is None:
                break
            words = batch.words()
            with writing(self._engine) as conn:
                search.store_words(conn, batch, words)
            done += len(batch.keys)
            pause()
        if done >= VERY_MANY:
            refresh_statistics(self._engine)

    def list(self, viewer: User, *, q: str, category: str) -> ArticleList:
        """The articles the viewer may read, by title; an unknown category is ignored."""
        category = category if category in CATEGORIES else ""
        with reading(self._engine) as conn:
            found = articles.matching(
                conn, q=q, category=category, internal=_staff(viewer), limit=LISTED_AT_MOST
            )
        return ArticleList(found, q, category)

    def read(self, slug: str, viewer: User) -> Article:
        """One article. Raises NotFound, also for an article the viewer may not read."""
        with reading(self._engine) as conn:
            return articles.get(conn, slug, internal=_staff(viewer))

    def write(self, draft: ArticleDraft, *, by: User) -> str:
        """Add an article; answers its slug, made from the title. Raises NotAllowed, Invalid."""
        draft = _checked(draft, by)
        with writing(self._engine) as conn:
            slug = _free_slug(conn, draft.title)
            articles.add(conn, [(slug, draft)], by=by.email, now=self._now())
        return slug

    def draft_from(self, ticket_id: int) -> ArticleDraft:
        """Draft an internal article from a resolved ticket, with its secrets hidden.

        Raises NotFound, Conflict for a ticket without resolution notes.
        """
        with reading(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
        if not ticket.status.ended or not ticket.resolution_notes:
            raise Conflict(
                f"Ticket {ticket_id} has no resolution notes.",
                hint="Resolve it and add resolution notes first.",
            )
        return ArticleDraft(
            title=masked(ticket.subject)[:TITLE_LENGTH],
            category=ticket.effective_category or "",
            public=False,
            keywords="",
            body=drafted(ticket.subject, ticket.description, ticket.resolution_notes),
        )

    def change(self, slug: str, draft: ArticleDraft, *, by: User, basis: Basis) -> None:
        """Write a new version with the changed fields; `basis` has the values the form showed.

        Raises NotFound, NotAllowed, Invalid, and Conflict if another person changed the same
        field.
        """
        draft = _checked(draft, by)
        with writing(self._engine) as conn:
            article = articles.get(conn, slug, for_update=True)
            own, now = basis.own(asdict(draft)), asdict(article.draft)
            if contested := basis.contested(own, now):
                now["public"] = article.audience
                told = {FORM_NAMES.get(name, name): now[name] for name in contested}
                raise edit_conflict("article", article.updated_by, told)
            merged = replace(article.draft, **own)
            if merged != article.draft:
                articles.change(conn, article, merged, by=by.email, now=self._now())

    def remove(self, slug: str, *, by: User) -> None:
        """Delete an article. Raises NotFound, NotAllowed."""
        if not by.role.may_act_as(Role.ADMIN):
            raise NotAllowed("Only administrators can delete articles.")
        with writing(self._engine) as conn:
            article = articles.get(conn, slug, for_update=True)
            articles.remove(conn, article, by=by.email, now=self._now())


def _staff(viewer: User) -> bool:
    return viewer.role.may_act_as(Role.AGENT)


def _checked(draft: ArticleDraft, by: User) -> ArticleDraft:
    if not _staff(by):
        raise NotAllowed("Only agents can write articles.")
    if draft.category not in CATEGORIES:
        raise Invalid(
            "Unknown category.",
            fields={"category": f"Choose one of: {', '.join(CATEGORIES)}."},
        )
    return replace(draft, body=draft.body.rstrip() + "\n")


def _free_slug(conn: Connection, title: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().casefold()
    stem = re.sub(r"[^a-z0-9]+", "-", ascii_only)[:SLUG_LENGTH].strip("-") or "article"
    wanted = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    taken = articles.slugs(conn, wanted)
    return next(slug for slug in wanted if slug not in taken and slug not in RESERVED)
