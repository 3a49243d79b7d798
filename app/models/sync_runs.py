"""Runs that bring incidents in, and what became of each row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What a pull did with one incident, or would do in a dry run."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


class PulledRow(NamedTuple):
    """One incident of a run, and the ticket it became or was."""

    sys_id: str
    number: str
    outcome: Outcome
    reason: str
    ticket_id: int | None


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One pull from start to end.

    `reasons` counts why rows were skipped or failed, `hidden` the rows that access rules kept back.
    """

    id: int
    state: RunState
    import_tickets: bool
    dry_run: bool
    row_limit: int
    query: str
    incident_state: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    claimed_at: datetime | None
    updated_from: datetime | None
    updated_until: datetime | None
    undo_due_at: datetime | None
    undone_at: datetime | None
    undone_by: str | None
    oldest_stamp: datetime | None
    oldest_sys_id: str | None
    newest_stamp: datetime | None
    claims: int
    waiting_until: datetime | None
    stumbles: int
    measured_from: datetime | None
    measured_rows: int
    fetched: int
    hidden: int
    total: int | None
    created: int
    updated: int
    unchanged: int
    skipped: int
    failed: int
    reasons: Mapping[str, int]
    error: str | None
    removed: int
    kept_touched: int
    kept_pushed: int

    @property
    def finished(self) -> bool:
        return self.state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)

    @property
    def waiting(self) -> bool:
        """True while it waits for the instance and nobody works on it."""
        return self.state is RunState.RUNNING and self.waiting_until is not None

    @property
    def percent(self) -> int:
        passed = self.fetched + self.hidden
        return min(100, 100 * passed // self.total) if self.total else 0

    @property
    def rate(self) -> float:
        """Rows a second, since somebody works on it without a pause."""
        if not self.measured_from or not self.claimed_at:
            return 0.0
        seconds = (self.claimed_at - self.measured_from).total_seconds()
        return (self.fetched - self.measured_rows) / seconds if seconds > 0 else 0.0

    @property
    def time_left(self) -> timedelta | None:
        """How long it will take at that rate; None while that is not known."""
        if self.total is None or not self.rate:
            return None
        left = max(0, self.total - self.fetched - self.hidden)
        return timedelta(seconds=left / self.rate)

    @property
    def capped(self) -> bool:
        """True when the limit left incidents out."""
        return self.oldest_stamp is not None

    @property
    def whole(self) -> bool:
        """True when it reads every incident there is: no filter, nothing beyond the limit."""
        narrowed = self.query or self.incident_state or self.updated_from or self.updated_until
        return not narrowed and not self.capped

    @property
    def undoable(self) -> bool:
        """An import that wrote tickets, and nobody has asked for its undo."""
        wrote = self.import_tickets and not self.dry_run and self.created > 0
        return self.finished and wrote and self.undone_at is None and not self.undoing

    @property
    def undoing(self) -> bool:
        """True while its tickets are being taken away."""
        return self.undo_due_at is not None
