"""What comes in by itself: how far it was read, and what was seen."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class IncomingState:
    """How far changes of one instance were read.

    `watermark` is the newest `sys_updated_on` seen, but never after the instance's own clock, which
    is `clock_ahead` seconds ahead of ours. `ahead_at` is a stamp in the future that the latest pull
    met. `rows` and `hidden` are of the latest pull; `gone` counts linked incidents that cannot be
    seen any more. `journal` is open, closed, or empty while nothing is known. `sweep_after` is
    where a sweep that is under way stands, `looked_back_at` when a pull last reached further back.
    """

    host: str
    watermark: datetime | None = None
    due_at: datetime | None = None
    claimed_at: datetime | None = None
    pulled_at: datetime | None = None
    error: str | None = None
    rows: int = 0
    hidden: int = 0
    gone: int = 0
    journal: str = ""
    swept_at: datetime | None = None
    sweep_after: str = ""
    looked_back_at: datetime | None = None
    ahead_at: datetime | None = None
    clock_ahead: int | None = None


@dataclass(frozen=True, slots=True)
class IncomingView:
    """What the ServiceNow page tells of it. `every` is None while it is not scheduled."""

    state: IncomingState
    every: timedelta | None
    pulling: bool

    now: datetime

    @property
    def running(self) -> bool:
        return self.state.claimed_at is not None

    @property
    def waiting(self) -> bool:
        """True while a pull runs or is due: worth asking again soon."""
        due = self.state.due_at
        return self.running or (due is not None and due <= self.now)
