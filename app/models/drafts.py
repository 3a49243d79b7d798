"""What agents see of a draft: the text before it is sent, and what came back."""

from dataclasses import dataclass
from enum import StrEnum

from app.models.tickets import Ticket


class DraftKind(StrEnum):
    """What a language model may be asked to write."""

    SUGGESTION = "suggestion"
    REPLY = "reply"
    RESOLUTION = "resolution"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class DraftPreview:
    """Exactly what would be sent: `texts` are the instruction and the masked ticket.

    `seen` names them; a draft is only made of the text with this name.
    """

    ticket: Ticket
    kind: DraftKind
    label: str
    texts: tuple[str, ...]
    seen: str
    model: str
    host: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to be edited. `sources` are (slug, title); `trouble` says why it is the plain one."""

    ticket: Ticket
    kind: DraftKind
    label: str
    text: str
    sources: tuple[tuple[str, str], ...]
    trouble: str = ""
