"""Suggestions: next steps with the source each rests on, and what people say of them."""

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

# From resolved tickets and incidents, beside the steps of articles.
RESOLUTIONS = 2
# "Done." and "Fixed it" are no steps.
FEWEST_WORDS = 4
SOURCE_TITLE = 200


class Suggesting:
    """Every step names its source; with nothing similar enough there is none."""

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
        """What to do next: from the best articles, then what solved the like before."""
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
        """Public articles that may answer a question, the best first."""
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
        """An article was enough, no ticket is needed: its title. Raises NotFound."""
        internal = viewer.role.may_act_as(Role.AGENT)
        with writing(self._engine) as conn:
            article = articles.get(conn, slug, internal=internal)
            deflections.store(conn, key, slug=slug, question=masked(question), now=self._now())
        return article.title

    def vote(self, ticket_id: int, vote: Vote, *, by: User) -> None:
        """Keep what a person says of a source that they were shown. Raises NotFound."""
        agent = by.role.may_act_as(Role.AGENT)
        with writing(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            shown = {
                (step.kind, step.source)
                for step in suggestions.of_ticket(conn, ticket_id)
                if agent or (step.public and ticket.requester_email == by.email)
            }
            if (vote.kind, vote.source) not in shown:
                raise NotFound("This is not suggested here.")
            suggestions.store_vote(conn, ticket_id, vote, now=self._now())

    def figures(self, slug: str) -> SourceFigures:
        """How an article has done as a suggestion."""
        with reading(self._engine) as conn:
            return suggestions.figures(conn, SourceKind.ARTICLE, slug)

    def _index(self) -> "Articles | None":
        """The articles as they are now, read anew when one was written; None without any."""
        with reading(self._engine) as conn:
            state = articles.state(conn)
            if state == self._indexed[0]:
                return self._indexed[1]
            index = _index_of(articles.every(conn))
        self._indexed = (state, index)
        return index


@lru_cache(maxsize=2)
def _index_of(every: tuple[Article, ...]) -> "Articles | None":
    """The index of these articles, made once for them; None when none has a step."""
    # scikit-learn takes a second to import: with the first ticket, not before the first page.
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
