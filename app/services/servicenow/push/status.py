"""The push status of one ticket: what its card and the API show."""

from datetime import datetime

from app.db import (
    connection_state,
    duplicates,
    events,
    outbox,
    tickets,
)
from app.db.engine import reading
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState, PushState, PushStatus, Rest
from app.models.tickets import Ticket
from app.services.privacy import masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.push.held_creates import HELD


def push_status(
    context: Context, lookups: Lookups, ticket_id: int, *, created: bool = False
) -> PushStatus:
    """Read everything that the push card shows of a ticket. Raises NotFound."""
    with reading(context.engine) as conn:
        ticket = tickets.get(conn, ticket_id)
        items = outbox.of_ticket(conn, ticket_id)
        unsent = events.unsent_notes(conn, ticket_id) if ticket.linked else ()
        known = duplicates.of_ticket(conn, ticket_id)
        connection = connection_state.read(conn, context.host, now=context.now())
    pause, rest, restore = connection.pause, connection.rest, connection.restore
    state = _state(ticket, items, held=restore is not None and restore.held)
    first = next(iter(sorted(items, key=lambda item: item.state is not OutboxState.BLOCKED)), None)
    blocked = first if first and first.state is OutboxState.BLOCKED else None
    wants_code = any(item.wants_close_code for item in items)
    return PushStatus(
        ticket=masked_ticket(ticket),
        state=state,
        url=context.url_of(ticket.sn_sys_id),
        attempts=first.attempts if first else 0,
        next_try_at=_next_try(first, rest) if first and not blocked else None,
        error=HELD if state is PushState.HELD else first.error if first else None,
        items=items,
        created=created,
        unsent_notes=tuple(note.kind for note in unsent),
        close_codes=lookups.known_choices("close_code") if wants_code else (),
        missing=context.missing,
        read_only=context.read_only,
        pause=pause,
        rest=rest,
        restore=restore,
        duplicates=known,
    )


def _next_try(item: OutboxItem, rest: Rest | None) -> datetime:
    return max(item.not_before, rest.until) if rest else item.not_before


def _state(ticket: Ticket, items: tuple[OutboxItem, ...], *, held: bool) -> PushState:
    states = {item.state for item in items}
    if OutboxState.BLOCKED in states:
        return PushState.BLOCKED
    if held and any(item.kind is OutboxKind.CREATE for item in items):
        return PushState.HELD
    if OutboxState.UNCONFIRMED in states:
        return PushState.UNCONFIRMED
    if states:
        return PushState.OWED
    return PushState.LINKED if ticket.linked else PushState.NONE
