"""Suggestions: next steps with their sources, and people's ratings."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from app.copilot.articles import article_of
from app.copilot.secrets.redact import masked
from app.copilot.tokenizer import names_the_trouble
from app.db import articles, deflections, suggestions, tickets
from app.db.engine import reading, writing
from app.errors import NotFound
from app.models.accounts import Role, User
from app.models.knowledge import Answer, Article, Match, SourceFigures, SourceKind, Vote
from app.models.tickets import Suggestion
from app.services.copilot.service import CopilotService

if TYPE_CHECKING:
    from app.copilot.next_steps import Articles

# The most suggestions from resolved tickets and incidents, in addition to articles.
RESOLUTIONS = 2
# Shorter resolutions such as "Fixed it" are not suggested.
FEWEST_WORDS = 4
SOURCE_TITLE = 200


class SuggestionService:
    """Suggested steps with their sources, answers to questions, and ratings."""

    def __init__(
        self,
        engine: Engine,
        *,
        copilot: CopilotService,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._copilot = copilot
        self._now = now
        self._indexed: tuple[object, Articles | None] = (None, None)

    def steps(
        self, subject: str, description: str, *, like: Sequence[Match]
    ) -> tuple[Suggestion, ...]:
        """Suggested steps: of the best articles, then of similar resolved tickets."""
        text = masked(f"{subject}\n{description}")
        index = self._index()
        found = index.steps(text, shares=self._copilot.shares(text)) if index else ()
        from_articles = [
            Suggestion(one.text, one.source_slug, one.source_title, one.audience == "public")
            for one in found
        ]
        resolved = [
            match
            for match in like
            if match.source.kind is not SourceKind.ARTICLE
            and len(match.source.resolution.split()) >= FEWEST_WORDS
            and names_the_trouble(match.source.title, text)
        ]
        return (*from_articles, *map(_resolution, resolved[:RESOLUTIONS]))

    def answers(self, question: str) -> tuple[Answer, ...]:
        """Public articles that match a question, the best first."""
        index = self._index()
        text = masked(question)
        if index is None or not text.strip():
            return ()
        return tuple(
            Answer(
                slug=match.article.slug,
                title=match.article.title,
                steps=match.article.steps,
                worked=match.article.worked,
            )
            for match in index.best(text, shares=self._copilot.shares(text))
            if match.article.audience == "public"
        )

    def helped(self, slug: str, question: str, *, key: str, viewer: User) -> str:
        """Record that an article solved the problem; returns its title. Raises NotFound."""
        internal = viewer.role.may_act_as(Role.AGENT)
        with writing(self._engine) as conn:
            article = articles.get(conn, slug, internal=internal)
            deflections.store(conn, key, slug=slug, question=masked(question), now=self._now())
        return article.title

    def vote(self, ticket_id: int, vote: Vote, *, by: User) -> None:
        """Store a person's rating of a source that they can see. Raises NotFound."""
        agent = by.role.may_act_as(Role.AGENT)
        with writing(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            shown = {
                (step.kind, step.source)
                for step in suggestions.of_ticket(conn, ticket_id)
                if agent or (step.public and ticket.requester_email == by.email)
            }
            if (vote.kind, vote.source) not in shown:
                raise NotFound("This suggestion is no longer on the ticket.")
            suggestions.store_vote(conn, ticket_id, vote, now=self._now())

    def figures(self, slug: str) -> SourceFigures:
        """Usage and ratings of an article as a suggestion."""
        with reading(self._engine) as conn:
            return suggestions.figures(conn, SourceKind.ARTICLE, slug)

    def _index(self) -> "Articles | None":
        """The index of the current articles, rebuilt after a change; None without articles."""
        with reading(self._engine) as conn:
            state = articles.state(conn)
            if state == self._indexed[0]:
                return self._indexed[1]
            index = _index_of(articles.every(conn))
        self._indexed = (state, index)
        return index


@lru_cache(maxsize=2)
def _index_of(every: tuple[Article, ...]) -> "Articles | None":
    """The index of these articles; None if no article has steps."""
    # Importing scikit-learn takes a second, so it is imported with the first ticket.
    from app.copilot.next_steps import Articles

    read = [
        article_of(
            slug=one.slug,
            title=one.title,
            category=one.category,
            audience=one.audience,
            keywords=one.keywords,
            body=masked(one.body),
        )
        for one in every
    ]
    usable = [one for one in read if one.steps]
    return Articles(usable) if usable else None


def _resolution(match: Match) -> Suggestion:
    source = match.source
    return Suggestion(
        text=source.resolution,
        source=source.ref,
        source_title=f"{source.name}: {source.title}"[:SOURCE_TITLE],
        public=False,
        kind=source.kind,
    )
