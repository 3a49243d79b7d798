"""What the pages beside /servicenow show: outbox, mapping, history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from app.models.form_basis import Basis
from app.models.servicenow import OutboxItem, OutboxKind
from app.models.tickets import MaskedEvent, MaskedTicket

# The labels of sync history entries, by direction and `Exchange.what`.
ACTIONS = {
    ("push", "create"): "Create incident",
    ("push", "update"): "Sync status",
    ("push", "note"): "Send note",
    ("push", "release"): "Release new incidents",
    ("pull", "note"): "Copy note",
    ("pull", "link"): "Link incident",
    ("pull", "refresh"): "Update ticket",
    ("pull", "mirror"): "Fetch incidents",
    ("pull", "import"): "Import incidents",
    ("pull", "dry run"): "Dry run",
}


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """What the outbox shows. `state` is a state, or "waiting" for all that are not over."""

    state: str = ""
    kind: str = ""
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One push with what it is about. `note` is the entry that a note sends.

    `held`: it waits until an admin releases creates.
    """

    item: OutboxItem
    ticket: MaskedTicket
    note: MaskedEvent | None
    summary: str
    held: bool = False

    @property
    def closes(self) -> bool:
        """It resolves or closes the incident, which needs one of the instance's close codes."""
        return self.ticket.status.ended and self.item.kind is not OutboxKind.NOTE

    @property
    def editable(self) -> bool:
        """There is something of it that a person can change."""
        return self.item.certain and (self.item.kind is not OutboxKind.UPDATE or self.closes)


@dataclass(frozen=True, slots=True)
class OutboxList:
    """One page of the outbox: blocked first, then what waits, then what is over."""

    rows: tuple[OutboxRow, ...]
    total: int
    page: int
    pages: int
    wanted: OutboxFilter


@dataclass(frozen=True, slots=True)
class PushEdit:
    """What a person may change of a push. Choices are (value, label) pairs of the instance."""

    row: OutboxRow
    close_codes: tuple[tuple[str, str], ...]
    close_code: str
    groups: tuple[tuple[str, str], ...]
    group: str

    @property
    def basis(self) -> Basis:
        """What the form is filled from, of what several people may write at once."""
        return Basis.of({"note": self.row.note.body if self.row.note else ""})


@dataclass(frozen=True, slots=True)
class StoredMaps:
    """Maps as an admin left them, in plain words."""

    maps: Mapping[str, Mapping[str, str]]
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value before and after: of an exchange what the incident had, or was asked to have."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class MapsChange:
    """One change of the maps: the entries it changed, in the words of its day."""

    changes: tuple[FieldChange, ...]
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One attempt of a push, one pull, one refreshed ticket, and how it went.

    `status` and `transaction_id` are those of the decisive call; `calls` are all of them.
    """

    id: int
    at: datetime
    direction: str
    what: str
    ticket_id: int | None
    run_id: int | None
    number: str
    who: str | None
    attempt: int
    outcome: str
    status: str
    transaction_id: str
    duration_ms: int
    detail: str
    changes: tuple[FieldChange, ...]
    calls: tuple[Mapping[str, Any], ...]

    @property
    def action(self) -> str:
        """`what` as people read it."""
        return ACTIONS.get((self.direction, self.what), self.what.capitalize())


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What the history shows; both days are included, in `zone`."""

    ticket: int | None = None
    number: str = ""
    who: str = ""
    outcome: str = ""
    direction: str = ""
    since: date | None = None
    until: date | None = None
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of the history, newest first. `total` stops at the cap."""

    rows: tuple[HistoryEntry, ...]
    total: int
    capped: bool
    page: int
    pages: int
    wanted: HistoryFilter


@dataclass(frozen=True, slots=True)
class MapLine:
    """One value and what it becomes; `name` is that of its form field.

    `count` cached incidents have it; `unmapped` is set if no value here stands for it.
    """

    name: str
    label: str
    value: str
    count: int = 0
    unmapped: bool = False


@dataclass(frozen=True, slots=True)
class MapSection:
    """Both directions of one field; choices are (value, label) pairs."""

    field: str
    out: tuple[MapLine, ...]
    out_choices: tuple[tuple[str, str], ...]
    back: tuple[MapLine, ...]
    back_choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MappedWords:
    """State or status, priority and category, in words."""

    state: str
    priority: str
    category: str


@dataclass(frozen=True, slots=True)
class MappedIncident:
    """A cached incident, what its ticket would say, and what an update would send back."""

    sys_id: str
    number: str
    short_description: str
    theirs: MappedWords
    ours: MappedWords
    sent: MappedWords


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A value of the cached incidents that is not mapped."""

    field: str
    value: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class MappingView:
    """The mapping page. `tried`: with maps that were typed and not stored.

    `seen` is what its form was filled from.
    """

    sections: tuple[MapSection, ...]
    preview: tuple[MappedIncident, ...]
    unmapped: tuple[Unmapped, ...]
    warnings: tuple[str, ...]
    read_at: datetime | None
    changed_at: datetime | None
    changed_by: str | None
    history: tuple[MapsChange, ...]
    tried: bool
    seen: str
