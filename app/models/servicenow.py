"""Incidents, outbox items, and the status of the connection."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType

from app.errors import Kind
from app.models.tickets import EventKind, MaskedTicket


class OutboxKind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    NOTE = "note"

    @property
    def label(self) -> str:
        return {"create": "Create incident", "update": "Sync status", "note": "Send note"}[self]


class OutboxState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    UNCONFIRMED = "unconfirmed"
    DONE = "done"
    BLOCKED = "blocked"
    DISCARDED = "discarded"


class Incident(NamedTuple):
    """A record of ServiceNow's incident table; `state` and `priority` are their values.

    References carry the sys_id and, where the account may read it, the name.
    """

    sys_id: str
    number: str
    short_description: str
    description: str
    state: str
    priority: str
    category: str
    assignment_group: str
    assignment_group_name: str
    caller: str
    caller_name: str
    caller_email: str
    assigned_to: str
    assigned_to_name: str
    assigned_to_email: str
    close_code: str
    close_notes: str
    correlation_id: str
    opened_at: datetime | None
    updated_at: datetime
    mod_count: int


# What may leave: made by `services/privacy.py` alone.
MaskedIncident = NewType("MaskedIncident", Incident)


@dataclass(frozen=True, slots=True)
class MirroredIncident:
    """A cached incident, and its ticket, if any."""

    incident: Incident
    fetched_at: datetime
    ticket_id: int | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One comment or work note of an incident. `author` is their user name."""

    element: str
    author: str
    body: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One update for ServiceNow. A create has `sys_id` and `correlation_id` before its first call.

    `error` is the message of the last failure, or the reason why the item was discarded.
    """

    id: int
    ticket_id: int
    generation: int
    kind: OutboxKind
    state: OutboxState
    host: str
    event_id: int | None
    sys_id: str | None
    correlation_id: str | None
    assignment_group: str | None
    close_code: str | None
    attempts: int
    not_before: datetime
    claimed_at: datetime | None
    unconfirmed_since: datetime | None
    sent_at: datetime | None
    created_at: datetime
    created_by: str
    settled_at: datetime | None
    error: str | None
    error_kind: Kind | None

    @property
    def waiting(self) -> bool:
        return self.state not in (OutboxState.DONE, OutboxState.DISCARDED)

    @property
    def certain(self) -> bool:
        """It waits and has certainly not arrived: it may be edited or discarded."""
        waits = self.state in (OutboxState.PENDING, OutboxState.BLOCKED)
        return waits and self.unconfirmed_since is None

    @property
    def wants_choice(self) -> bool:
        """A person must choose which side's values to keep."""
        return self.waiting and self.error_kind is Kind.CONFLICT

    @property
    def wants_close_code(self) -> bool:
        """A person must choose one of the instance's resolution codes."""
        return self.state is OutboxState.BLOCKED and self.error_kind is Kind.CLOSE_CODE

    @property
    def wants_proof(self) -> bool:
        """A person must find out whether the incident exists."""
        return self.state is OutboxState.BLOCKED and self.error_kind is Kind.UNPROVEN


class PushState(StrEnum):
    """Our summary of a ticket's push, for screens and scripts."""

    NONE = "none"
    LINKED = "linked"
    OWED = "owed"
    HELD = "held"
    UNCONFIRMED = "unconfirmed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Pause:
    """Who stopped the pushes of a connection, when and why."""

    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restore:
    """This database was restored from a backup or copied: an incident shows it.

    Creates are held until an admin releases them.
    """

    noticed_at: datetime
    number: str
    released_at: datetime | None
    released_by: str | None

    @property
    def held(self) -> bool:
        return self.released_at is None or self.released_at < self.noticed_at

    def holds(self, item: OutboxItem) -> bool:
        """Whether this push waits for the release."""
        waits = item.state in (OutboxState.PENDING, OutboxState.UNCONFIRMED)
        return self.held and waits and item.kind is OutboxKind.CREATE


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """Whether an instance keeps the keys of a create; None where that is not known yet."""

    correlation_id: bool | None = None
    sys_id: bool | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An incident that carries the key of a ticket which is linked to an older one."""

    sys_id: str
    number: str
    host: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Rest:
    """After five failures of one kind the connection is left alone until then."""

    since: datetime
    until: datetime
    reason: str
    failures: int


@dataclass(frozen=True, slots=True)
class PushStatus:
    """Sync status of a ticket. `created` is true if this call created the incident."""

    ticket: MaskedTicket
    state: PushState
    url: str | None
    attempts: int
    next_try_at: datetime | None
    error: str | None
    items: tuple[OutboxItem, ...]
    created: bool = False
    # The kinds of notes that are not in ServiceNow, never their texts.
    unsent_notes: tuple[EventKind, ...] = ()
    close_codes: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    read_only: bool = False
    pause: Pause | None = None
    rest: Rest | None = None
    restore: Restore | None = None
    duplicates: tuple[Duplicate, ...] = ()

    @property
    def linked(self) -> bool:
        return self.ticket.linked

    @property
    def sending(self) -> bool:
        """True while something is on its way by itself: worth asking again soon."""
        return self.state in (PushState.OWED, PushState.UNCONFIRMED)

    @property
    def outcome(self) -> str:
        """The state in one sentence, for people who do not see the card change."""
        number = self.ticket.sn_number
        if self.created:
            return f"ServiceNow incident {number} is created."
        if self.state is PushState.BLOCKED:
            return f"Not sent to ServiceNow. {self.error or ''}".rstrip()
        if self.sending or self.state is PushState.HELD:
            return f"Waiting to be sent to ServiceNow. {self.error or ''}".rstrip()
        if self.linked and self.ticket.sn_conflicts:
            return f"This ticket and {number} differ. Choose which values to keep."
        return f"In sync with {number}." if self.linked else "Not linked to an incident."
