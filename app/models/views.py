"""What pages and JSON show: values ready to be read, nothing left to look up."""

from dataclasses import dataclass
from datetime import datetime

from app.models.knowledge import Vote
from app.models.servicenow import (
    JournalEntry,
    MaskedIncident,
    OutboxItem,
    Pause,
    Rest,
    Restore,
)
from app.models.sync_runs import PulledRow, SyncRun
from app.models.tickets import MaskedEvent, MaskedStep, MaskedTicket, TicketStatus
from app.models.triage import PredictionView

CHECK_LABELS = {
    "configuration": "Configuration",
    "reach": "Network and TLS",
    "clock": "Clock skew",
    "sign_in": "Sign-in",
    "read_incident": "Read incidents",
    "write": "Write permission",
    "users": "Users",
    "choices": "Choices",
    "journal": "Comments and work notes",
    "query_probe": "Query check",
    "time_zone": "Time zone",
    "create_keys": "Created incident lookup",
    "own_incidents": "Restored or copied database",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One step of the connection test; `status` is passed, warning, failed or skipped.

    A warning leaves everything working, with a limit that its text names.
    """

    name: str
    status: str
    detail: str
    hint: str = ""

    @property
    def label(self) -> str:
        return CHECK_LABELS[self.name]


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The full test that runs or ran last, step by step."""

    started_at: datetime
    running: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """The connection in words. `state` is connected, not_connected, not_configured or unknown."""

    state: str
    sentence: str
    hint: str
    missing: tuple[str, ...]
    instance_url: str
    auth_type: str
    read_only: bool
    checked_at: datetime | None
    last_ok_at: datetime | None
    failed_since: datetime | None
    last_error: str | None
    last_error_kind: str | None
    latency_ms: int | None
    fetched_at: datetime | None
    checks: tuple[Check, ...] = ()
    pause: Pause | None = None
    rest: Rest | None = None
    restore: Restore | None = None
    test: ConnectionTest | None = None

    @property
    def configured(self) -> bool:
        return self.state != "not_configured"

    @property
    def connected(self) -> bool:
        return self.state == "connected"


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident for a table: labels found, link built."""

    incident: MaskedIncident
    state_label: str
    priority_label: str
    url: str | None
    ticket_id: int | None
    fetched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncidentList:
    """One page of cached incidents."""

    rows: tuple[IncidentRow, ...]
    total: int
    capped: bool
    page: int
    pages: int
    search: str
    state: str
    states: tuple[tuple[str, str], ...]
    fetched_at: datetime | None
    configured: bool


@dataclass(frozen=True, slots=True)
class ImportView:
    """What the import card shows: the latest or a chosen run, None before the first one.

    `samples` are rows of a finished dry run; `unindexed` counts tickets that no search finds yet.
    """

    run: SyncRun | None
    samples: tuple[PulledRow, ...] = ()
    unindexed: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on /servicenow, from our own database."""

    connection: ConnectionView
    incidents: IncidentList
    pull: ImportView
    waiting: tuple[OutboxItem, ...]
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class LiveIncidents:
    """Incidents as the instance has them now; `total` is before access rules, if it says so."""

    rows: tuple[IncidentRow, ...]
    total: int | None


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """One incident with its journal. `stale` says why this is our copy and not theirs."""

    row: IncidentRow
    journal: tuple[JournalEntry, ...]
    stale: str = ""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One field as it is here and as it will be written there."""

    name: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a create would send. `groups` are (sys_id, name)."""

    ticket: MaskedTicket
    rows: tuple[PreviewRow, ...]
    groups: tuple[tuple[str, str], ...]
    group: str
    notes: tuple[str, ...]
    # Why it is made of what was read before; empty when ServiceNow was asked.
    trouble: str = ""
    # The create waits until an admin releases creates.
    held: bool = False


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """What a list shows; empty strings do not filter. `requester` limits to one address."""

    status: str = ""
    priority: str = ""
    category: str = ""
    assignee: str = ""
    q: str = ""
    requester: str | None = None
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A ticket as its viewer may see it."""

    ticket: MaskedTicket
    events: tuple[MaskedEvent, ...]
    suggestions: tuple[MaskedStep, ...]
    predictions: tuple[PredictionView, ...] = ()
    votes: tuple[Vote, ...] = ()
    revealed: bool = False

    @property
    def hidden(self) -> int:
        """How many secrets are hidden in its texts and its timeline."""
        return self.ticket.hidden + sum(event.hidden for event in self.events)


@dataclass(frozen=True, slots=True)
class TicketPage:
    """One page of a list. `total` stops at the cap; no search finds `unindexed` ones yet."""

    tickets: tuple[MaskedTicket, ...]
    wanted: TicketFilter
    sort: str
    page: int
    pages: int
    total: int
    capped: bool
    unindexed: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of a dashboard: (label or value, count) pairs."""

    by_status: tuple[tuple[TicketStatus, int], ...]
    by_priority: tuple[tuple[str, int], ...]
    by_age: tuple[tuple[str, int], ...]
    unfinished: int
