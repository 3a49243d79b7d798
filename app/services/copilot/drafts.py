"""Drafts by a language model, for agents: looked at before they are asked for, edited after.

Nothing here changes a ticket. What is sent is masked and can be read first; what comes back is
checked and goes into a box. Whoever presses the button of that box says it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from app.copilot import drafts
from app.errors import Conflict, LanguageModelError, NotFound
from app.integrations.llm_client import LLMClient
from app.models.accounts import User
from app.models.drafts import Draft, DraftKind, DraftPreview
from app.models.tickets import EventKind, Suggestion, Ticket
from app.models.views import TicketDetail
from app.services.privacy import masked_steps
from app.services.tickets.service import TicketService

# Entries that tell what people did; the rest is book-keeping.
TELLING = (EventKind.COMMENT, EventKind.INTERNAL_NOTE, EventKind.STATUS)
LABELS = {
    DraftKind.SUGGESTION: "Rewrite the suggested steps",
    DraftKind.REPLY: "Draft a reply",
    DraftKind.RESOLUTION: "Draft a resolution note",
    DraftKind.SUMMARY: "Summarise the timeline",
}
# Notes that may travel on say where they come from; a reply is the agent's own.
HEADS = {
    DraftKind.SUGGESTION: "AI-assisted suggestions",
    DraftKind.SUMMARY: "AI-assisted summary",
}
NOTHING_USABLE = "The language model's answer rests on none of the sources, so it is not shown."


@dataclass(frozen=True, slots=True)
class _Task:
    """One draft to be: what it is about, what is sent for it, and what it rests on."""

    kind: DraftKind
    ticket: Ticket
    prompt: drafts.Prompt
    sources: tuple[drafts.Source, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def seen(self) -> str:
        """Names the exact text, so that nothing is sent that nobody could read before."""
        return hashlib.sha256(repr(self.prompt.messages).encode()).hexdigest()

    @property
    def plain(self) -> str:
        """What stands when there is no draft: the steps as they are, or nothing."""
        stands = self.kind in (DraftKind.SUGGESTION, DraftKind.REPLY)
        return self._with_sources(drafts.plain_steps(self.sources)) if stands else ""

    def checked(self, answer: str) -> str:
        text = self.prompt.checked(answer)
        if self.kind is DraftKind.SUGGESTION and not drafts.REFERENCE.search(text):
            return ""
        return self._with_sources(text)

    def _with_sources(self, text: str) -> str:
        head = HEADS.get(self.kind) if text else None
        told = drafts.source_lines(text, [source.title for source in self.sources])
        return f"{head}\n{told}" if head else told


class DraftingService:
    """Off, and not shown at all, without a client."""

    def __init__(
        self, tickets: TicketService, client: LLMClient | None, *, model: str, host: str
    ) -> None:
        self._tickets = tickets
        self._client = client
        self._model = model
        self._host = host

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def preview(self, ticket_id: int, kind: DraftKind, *, by: User) -> DraftPreview:
        """Exactly what would be sent. Raises NotFound, also while no model is set up."""
        task = self._task(ticket_id, kind, by)
        return DraftPreview(
            ticket=task.ticket,
            kind=kind,
            label=LABELS[kind],
            texts=tuple(message["content"] for message in task.prompt.messages),
            seen=task.seen,
            model=self._model,
            host=self._host,
        )

    def draft(self, ticket_id: int, kind: DraftKind, *, seen: str, by: User) -> Draft:
        """A draft, or the plain text and why there is none. One call to the model.

        Raises NotFound, and Conflict when the text is not the one that was `seen`.
        """
        task = self._task(ticket_id, kind, by)
        if seen != task.seen:
            raise Conflict(
                "The ticket has changed since its text was shown.",
                hint="Nothing was sent. Look at the text again.",
            )
        assert self._client is not None
        trouble = ""
        try:
            text = task.checked(self._client.complete(task.prompt.messages))
            trouble = "" if text else NOTHING_USABLE
        except LanguageModelError as exc:
            text, trouble = "", f"{exc.message} {exc.hint}".strip()
        return Draft(
            ticket=task.ticket,
            kind=kind,
            label=LABELS[kind],
            text=text or task.plain,
            sources=task.links,
            trouble=trouble,
        )

    def _task(self, ticket_id: int, kind: DraftKind, by: User) -> _Task:
        if self._client is None:
            raise NotFound("No language model is set up.")
        # As written: the whole prompt is masked once, so that its placeholders agree.
        detail = self._tickets.detail(ticket_id, by, revealed=True)
        shown = masked_steps(detail.suggestions)
        steps = [s for s in shown if s.public or kind is not DraftKind.REPLY]
        sources = _sources(steps)
        material = drafts.Material(
            subject=detail.ticket.subject,
            description=detail.ticket.description,
            entries=_entries(detail, internal=kind is not DraftKind.REPLY),
            sources=sources,
        )
        titles = {step.source: step.source_title for step in steps}
        return _Task(
            kind=kind,
            ticket=self._tickets.get(ticket_id, by),
            prompt=drafts.prompt(kind, material),
            sources=sources,
            links=tuple(titles.items()),
        )


def _sources(steps: Sequence[Suggestion]) -> tuple[drafts.Source, ...]:
    """One source per article, in the order of the steps."""
    by_source: dict[str, list[Suggestion]] = {}
    for step in steps:
        by_source.setdefault(step.source, []).append(step)
    return tuple(
        drafts.Source(title=mine[0].source_title, steps=tuple(step.text for step in mine))
        for mine in by_source.values()
    )


def _entries(detail: TicketDetail, *, internal: bool) -> tuple[drafts.Entry, ...]:
    return tuple(
        drafts.Entry(
            when=f"{event.created_at:%Y-%m-%d %H:%M}",
            who=event.author or "the app",
            text=event.text,
        )
        for event in detail.events
        if event.kind in TELLING and (internal or not event.internal)
    )
