"""What the pages beside /servicenow show: outbox, mapping, history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.models.servicenow import OutboxItem, OutboxKind
from app.models.tickets import Ticket, TicketEvent


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """What the outbox shows. `state` is a state, or "waiting" for all that are not over."""

    state: str = ""
    kind: str = ""
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One push with what it is about. `note` is the entry that a note sends."""

    item: OutboxItem
    ticket: Ticket
    note: TicketEvent | None
    summary: str

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


@dataclass(frozen=True, slots=True)
class StoredMaps:
    """Maps as an admin left them, in plain words."""

    maps: Mapping[str, Mapping[str, str]]
    changed_at: datetime
    changed_by: str
