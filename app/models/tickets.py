"""Tickets, their timeline and their suggestions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from app.models.form_basis import Basis
from app.models.knowledge import SourceKind, href_of

SUBJECT_LENGTH = 255
# The fields of a ticket in its forms.
ON_FORMS = (
    "subject",
    "description",
    "priority",
    "category",
    "assignee",
    "assignment_group",
    "status",
    "resolution_code",
    "resolution_notes",
)


class TicketStatus(StrEnum):
    OPEN = "open"
    IN_PROGRESS = "in_progress"
    PENDING = "pending"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()

    @property
    def ended(self) -> bool:
        return self in (TicketStatus.RESOLVED, TicketStatus.CLOSED)


class Priority(StrEnum):
    """The priority of a ticket. ServiceNow's priority is 1 to 5."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def label(self) -> str:
        return self.value.capitalize()


class EventKind(StrEnum):
    """The kind of a timeline entry."""

    COMMENT = "comment"
    INTERNAL_NOTE = "internal_note"
    STATUS = "status"
    EDIT = "edit"
    TRIAGE = "triage"
    SERVICENOW = "servicenow"
    REVEALED = "revealed"

    @property
    def label(self) -> str:
        names = {EventKind.SERVICENOW: "ServiceNow", EventKind.REVEALED: "Secrets shown"}
        return names.get(self, self.value.replace("_", " ").capitalize())


NOTES = (EventKind.COMMENT, EventKind.INTERNAL_NOTE)


class NotePush(StrEnum):
    """When a note is sent to ServiceNow: once the ticket is linked, with the next manual sync, or
    never.
    """

    NOW = "now"
    LATER = "later"
    NEVER = "never"


RESOLUTION_CODES = (
    "Solution provided",
    "Workaround provided",
    "User error",
    "Resolved by caller",
    "No resolution provided",
    "Duplicate",
    "Known error",
)


class SyncStatus(StrEnum):
    """The result of the last write to ServiceNow, also if a retry follows."""

    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggested step and its source; `source` is an article's slug, a ticket id or a sys_id."""

    text: str
    source: str
    source_title: str
    public: bool
    kind: SourceKind = SourceKind.ARTICLE

    @property
    def href(self) -> str:
        return href_of(self.kind, self.source)


@dataclass(frozen=True, slots=True)
class NewTicket:
    """The values of a new ticket; without a requester, the author is the requester."""

    subject: str
    description: str = ""
    requester_email: str = ""
    priority: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    id: int
    subject: str
    description: str
    requester_email: str
    status: TicketStatus
    priority: Priority | None
    predicted_priority: Priority | None
    priority_confidence: float | None
    category: str | None
    predicted_category: str | None
    category_confidence: float | None
    triage_model: str | None
    assignee: str | None
    resolution_code: str | None
    resolution_notes: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    sn_sys_id: str | None
    sn_number: str | None
    sn_last_sync_at: datetime | None
    sn_sync_status: SyncStatus | None
    sn_last_error: str | None
    sn_host: str | None
    sn_generation: int
    # The last synced values, see `Agreed`.
    sn_agreed: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    # 1 (high) to 3 (low), as in ServiceNow; chosen by a person, and predicted by triage.
    impact: int | None = None
    urgency: int | None = None
    predicted_impact: int | None = None
    predicted_urgency: int | None = None
    # For each field that both sides changed: {"theirs": ..., "by": ..., "at": ...} of the incident,
    # and "overwritten", the earlier value, if our write overwrote an edit in ServiceNow.
    sn_conflicts: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    # The sys_id and the name of the assignment group in ServiceNow.
    assignment_group: str | None = None
    assignment_group_name: str | None = None
    # Since when the incident is no longer visible.
    sn_missing_since: datetime | None = None
    # The random key of the next create; None while linked to an incident that it did not create.
    sn_key: str | None = None
    # A warning about the incident, until a person dismisses it.
    sn_notice: str | None = None
    # Triaged in a batch: reasons and suggestions are not computed yet.
    reasons_pending: bool = False
    # The number of secrets hidden in the texts of this object; 0 if they are not masked.
    hidden: int = 0

    @property
    def secrets_hidden(self) -> bool:
        return self.hidden > 0

    @property
    def basis(self) -> Basis:
        """The basis of a form that shows this ticket."""
        return Basis.of({name: getattr(self, name) for name in ON_FORMS})

    @property
    def linked(self) -> bool:
        return self.sn_sys_id is not None

    @property
    def effective_priority(self) -> Priority | None:
        return self.priority or self.predicted_priority

    @property
    def their_priority(self) -> str | None:
        """ServiceNow's last known priority as a ticket priority; its own rules may calculate it."""
        return self.sn_agreed.get("theirs", {}).get("priority")

    @property
    def severity(self) -> tuple[int, int] | None:
        """Impact and urgency of the effective priority; None if only the priority was chosen."""
        impact, urgency = (
            (self.impact, self.urgency)
            if self.priority
            else (self.predicted_impact, self.predicted_urgency)
        )
        return (impact, urgency) if impact and urgency else None

    @property
    def effective_category(self) -> str | None:
        return self.category or self.predicted_category


@dataclass(frozen=True, slots=True)
class TicketChange:
    """A field changed in a timeline entry; empty values are "".

    `before` and `after` are None in entries older than the recording of values. Texts are masked
    and shortened.
    """

    field: str
    before: str | None = None
    after: str | None = None

    @property
    def text(self) -> str:
        """The change as a line of text; empty if the values are unknown."""
        if self.before is None or self.after is None:
            return ""
        label = label_of(self.field).capitalize()
        return f"{label}: {self._shown(self.before)} → {self._shown(self.after)}"

    def _shown(self, value: str) -> str:
        if self.field == "status":
            return TicketStatus(value).label
        return value or "none"


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """One timeline entry. `author` is an e-mail address, None for the app itself.

    `body` is a person's text or a message; empty if there are only `changes`.
    """

    id: int
    ticket_id: int
    kind: EventKind
    author: str | None
    body: str
    internal: bool
    created_at: datetime
    push: NotePush | None = None
    pushed_at: datetime | None = None
    changes: tuple[TicketChange, ...] = ()
    # The random mark that identifies the note in ServiceNow.
    sn_mark: str | None = None
    hidden: int = 0

    @property
    def text(self) -> str:
        """The entry as text: its body, then one line per change."""
        lines = (self.body, *(change.text for change in self.changes))
        return "\n".join(line for line in lines if line)


def label_of(name: str) -> str:
    """The name of a field within a sentence."""
    return name.replace("_", " ")


# What may leave: made by `services/privacy.py` alone, from the texts that the database keeps.
MaskedTicket = NewType("MaskedTicket", Ticket)
MaskedEvent = NewType("MaskedEvent", TicketEvent)
MaskedStep = NewType("MaskedStep", Suggestion)
