"""JSON of the outbox under /api/sn. Times are ISO 8601 UTC."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.models.servicenow_pages import OutboxList, OutboxRow
from app.models.views import ConnectionView
from app.schemas.servicenow import PauseOut, utc
from app.schemas.tickets import Text


class DiscardIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text


class OutboxItemOut(BaseModel):
    """An outbox item. `next_try_at` is null for blocked and finished items."""

    id: int
    ticket_id: int
    kind: Literal["create", "update", "note"]
    state: Literal["pending", "sending", "unconfirmed", "blocked", "done", "discarded"]
    summary: str
    number: str | None
    attempts: int
    next_try_at: datetime | None
    created_at: datetime
    created_by: str
    settled_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, row: OutboxRow) -> "OutboxItemOut":
        item = row.item
        tried_again = item.waiting and item.state != "blocked"
        return cls(
            id=item.id,
            ticket_id=item.ticket_id,
            kind=item.kind.value,
            state=item.state.value,
            summary=row.summary,
            number=row.ticket.sn_number,
            attempts=item.attempts,
            next_try_at=utc(item.not_before) if tried_again else None,
            created_at=item.created_at,
            created_by=item.created_by,
            settled_at=utc(item.settled_at),
            error=item.error,
        )


class OutboxOut(BaseModel):
    """One page of the outbox. `paused` and `read_only` tell why nothing is sent."""

    items: list[OutboxItemOut]
    total: int
    page: int
    pages: int
    read_only: bool
    paused: PauseOut | None

    @classmethod
    def of(cls, shown: OutboxList, view: ConnectionView) -> "OutboxOut":
        return cls(
            items=[OutboxItemOut.of(row) for row in shown.rows],
            total=shown.total,
            page=shown.page,
            pages=shown.pages,
            read_only=view.read_only,
            paused=PauseOut.of(view.pause),
        )
