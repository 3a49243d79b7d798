"""Drafts by a language model, for agents.

Drafting does not change a ticket. The text for the model is masked, and an agent reviews it before
it is sent. The model's text is checked, and the agent edits it before using it in a form.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from app.copilot import drafts
from app.errors import Conflict, LanguageModelError, NotFound
from app.integrations.llm_client import LLMClient
from app.models.accounts import User
from app.models.drafts import Draft, DraftKind, DraftPreview
from app.models.tickets import EventKind, MaskedTicket, Suggestion
from app.models.views import TicketDetail
from app.services.privacy import masked_steps
from app.services.tickets.service import TicketService

# Entries about what people did, without triage and sync.
TELLING = (EventKind.COMMENT, EventKind.INTERNAL_NOTE, EventKind.STATUS)
LABELS = {
    DraftKind.SUGGESTION: "Rewrite the suggested steps",
    DraftKind.REPLY: "Draft a reply",
    DraftKind.RESOLUTION: "Draft a resolution note",
    DraftKind.SUMMARY: "Summarize the timeline",
}
# Headings of notes that name their origin; a reply is the agent's own text.
HEADS = {
    DraftKind.SUGGESTION: "AI-assisted suggestions",
    DraftKind.SUMMARY: "AI-assisted summary",
}
NOTHING_USABLE = "The draft was discarded because it does not use any of the sources."


@dataclass(frozen=True, slots=True)
class _Task:
    """One draft: its ticket, its prompt and its sources."""

    kind: DraftKind
    ticket: MaskedTicket
    prompt: drafts.Prompt
    sources: tuple[drafts.Source, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def seen(self) -> str:
        """A digest of the exact prompt, so that only a text that was previewed is sent."""
        return hashlib.sha256(repr(self.prompt.messages).encode()).hexdigest()

    @property
    def plain(self) -> str:
        """The text without a draft: the original steps, or nothing."""
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
    """Drafts by a language model. Without a client, drafts are off and hidden."""

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
        """The exact text to send. Raises NotFound, also if no model is configured."""
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
        """Request a draft in one call to the model; without one, the original text and the error.

        Raises NotFound, and Conflict if the text differs from the one that was `seen`.
        """
        task = self._task(ticket_id, kind, by)
        if seen != task.seen:
            raise Conflict(
                "The ticket changed after you opened this preview.",
                hint="Nothing was sent. Review the text again.",
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
            raise NotFound("No language model is configured.", hint="Ask an administrator.")
        # Unmasked: the whole prompt is masked at once, so that its placeholders match.
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
            who=event.author or "Smart IT Copilot",
            text=event.text,
        )
        for event in detail.events
        if event.kind in TELLING and (internal or not event.internal)
    )
