"""JSON of what comes in by itself."""

from datetime import UTC, datetime

from pydantic import BaseModel

from app.models.incoming_changes import IncomingView


class IncomingOut(BaseModel):
    """`watermark` is ServiceNow's own newest stamp seen; `rows` and `hidden` are of the latest
    pull, `gone` are linked incidents that cannot be seen any more. `journal` is open, closed, or
    empty while nothing is known. `ahead_at` is a stamp in the future that the latest pull met.
    `every_seconds` is null while pulls are not scheduled.
    """

    taking_changes: bool
    every_seconds: float | None
    running: bool
    watermark: datetime | None
    pulled_at: datetime | None
    next_at: datetime | None
    swept_at: datetime | None
    rows: int
    hidden: int
    gone: int
    journal: str
    ahead_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, view: IncomingView) -> "IncomingOut":
        state = view.state
        return cls(
            taking_changes=view.pulling,
            every_seconds=view.every.total_seconds() if view.every else None,
            running=view.running,
            watermark=_utc(state.watermark),
            pulled_at=_utc(state.pulled_at),
            next_at=_utc(state.due_at),
            swept_at=_utc(state.swept_at),
            rows=state.rows,
            hidden=state.hidden,
            gone=state.gone,
            journal=state.journal,
            ahead_at=_utc(state.ahead_at),
            error=state.error,
        )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
