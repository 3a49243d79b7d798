"""What a ticket and its incident share, and what both sides said of it since they last agreed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.models.tickets import MaskedTicket, label_of

# Fields of a ticket that ServiceNow has too. The resolution travels with the status.
RESOLUTION = ("resolution_code", "resolution_notes")
SYNCED = (
    "subject",
    "status",
    "priority",
    "category",
    "assignee",
    "assignment_group",
    *RESOLUTION,
)
# Fields whose emptiness is a value. Elsewhere None says nothing: unknown, hidden or not set.
CLEARABLE = ("assignee", "assignment_group", *RESOLUTION)
Values = Mapping[str, str | None]
# {"ours": ..., "theirs": ...}: the values each side had when both last agreed; "seen", which
# state of the incident that was: its mod_count, updated_on and updated_by; and while a write is
# under way "sent": the values of ours in it, and "read": the raw fields that it writes, as they
# were read. Before the link "theirs" is what the incident says as it was sent, and "earlier" what
# it said as an earlier try of the same create sent it.
Agreed = Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class Side:
    """What one side says of a field, who said it last and when, as far as that is known."""

    value: str | None
    shown: str
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that both sides changed since they agreed. `readable`: theirs can be taken.

    `overwritten`: they changed it while ours was being sent, so that ServiceNow has ours now.
    """

    name: str
    ours: Side
    theirs: Side
    agreed: str
    readable: bool
    overwritten: bool = False

    @property
    def label(self) -> str:
        return label_of(self.name).capitalize()


@dataclass(frozen=True, slots=True)
class ConflictCard:
    """A ticket and what is to be chosen on it; `seen` marks the values that are shown."""

    ticket: MaskedTicket
    conflicts: tuple[Conflict, ...]
    seen: str
