"""Tickets, their timeline, and what triage says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.models.form_basis import Basis
from app.models.knowledge import SourceKind, href_of

SUBJECT_LENGTH = 255
# The fields of a ticket that forms show.
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
    """Ours. ServiceNow's is 1 to 5."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def label(self) -> str:
        return self.value.capitalize()


class EventKind(StrEnum):
    """What an entry of a ticket's timeline tells."""

    COMMENT = "comment"
    INTERNAL_NOTE = "internal_note"
    STATUS = "status"
    EDIT = "edit"
    TRIAGE = "triage"
    SERVICENOW = "servicenow"
    REVEALED = "revealed"

    @property
    def label(self) -> str:
        return "ServiceNow" if self is EventKind.SERVICENOW else self.value.replace("_", " ")


NOTES = (EventKind.COMMENT, EventKind.INTERNAL_NOTE)


class NotePush(StrEnum):
    """When a note goes to ServiceNow: as soon as there is a link, with the next sync by hand, or
    not at all.
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
    """How the last write to ServiceNow ended, retries still to come or not."""

    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One next step and what it rests on; `source` is an article's slug, an id or a sys_id."""

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
    """What somebody wants opened; without a requester it is their own."""

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
    # The values both sides had when they last agreed, as `Agreed` says.
    sn_agreed: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    # 1 (high) to 3 (low), as in ServiceNow; a person's own, and as triage filled them in.
    impact: int | None = None
    urgency: int | None = None
    predicted_impact: int | None = None
    predicted_urgency: int | None = None
    # By field that both sides changed: {"theirs": ..., "by": ..., "at": ...} of the incident, and
    # "overwritten", the value before both, where our write met theirs.
    sn_conflicts: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    # The sys_id of the assignment group there, and its name.
    assignment_group: str | None = None
    assignment_group_name: str | None = None
    # Since when the incident cannot be seen any more.
    sn_missing_since: datetime | None = None
    # The random key of its next create; None while it is linked to an incident it did not make.
    sn_key: str | None = None
    # A warning about the incident, until a person dismisses it.
    sn_notice: str | None = None
    # Triaged in a batch: what the Copilot says is there, its reasons and steps are not yet.
    reasons_pending: bool = False
    # How many secrets are hidden in the texts of this very value; 0 is also "as written".
    hidden: int = 0

    @property
    def secrets_hidden(self) -> bool:
        return self.hidden > 0

    @property
    def basis(self) -> Basis:
        """What a form that shows this very value was filled from."""
        return Basis.of({name: getattr(self, name) for name in ON_FORMS})

    @property
    def linked(self) -> bool:
        return self.sn_sys_id is not None

    @property
    def effective_priority(self) -> Priority | None:
        return self.priority or self.predicted_priority

    @property
    def their_priority(self) -> str | None:
        """What ServiceNow last said, in our word; its own rules may have made it."""
        return self.sn_agreed.get("theirs", {}).get("priority")

    @property
    def severity(self) -> tuple[int, int] | None:
        """Impact and urgency behind the effective priority; None where only it was chosen."""
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
    """A field that an entry of the timeline changed; empty values are "".

    `before` and `after` are None in entries that were written before values were recorded. Texts
    are masked and shortened.
    """

    field: str
    before: str | None = None
    after: str | None = None

    @property
    def text(self) -> str:
        """The change in words; empty where the values are not known."""
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
    """One entry of a timeline. `author` is an address, None for the app itself.

    `body` is what somebody wrote, or a message; empty where the `changes` say everything.
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
    # The random mark by which a note is recognized in ServiceNow.
    sn_mark: str | None = None
    hidden: int = 0

    @property
    def text(self) -> str:
        """The entry in words: its body, then a line for each change."""
        lines = (self.body, *(change.text for change in self.changes))
        return "\n".join(line for line in lines if line)


def label_of(name: str) -> str:
    """A field's name in a sentence."""
    return name.replace("_", " ")
