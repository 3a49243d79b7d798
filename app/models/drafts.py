"""Drafts of a language model and the previews of their prompts."""

from dataclasses import dataclass
from enum import StrEnum

from app.models.tickets import MaskedTicket


class DraftKind(StrEnum):
    """The kind of text that a language model drafts."""

    SUGGESTION = "suggestion"
    REPLY = "reply"
    RESOLUTION = "resolution"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class DraftPreview:
    """The exact prompt: `texts` are the instructions and the masked ticket.

    `seen` is their digest; a draft is requested only for a prompt with this digest.
    """

    ticket: MaskedTicket
    kind: DraftKind
    label: str
    texts: tuple[str, ...]
    seen: str
    model: str
    host: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to edit. `sources` are (slug, title) pairs; `trouble` is why there is no draft."""

    ticket: MaskedTicket
    kind: DraftKind
    label: str
    text: str
    sources: tuple[tuple[str, str], ...]
    trouble: str = ""
