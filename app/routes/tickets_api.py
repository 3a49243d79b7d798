"""API of tickets: /api/tickets."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from app.deps import CurrentUser, ServiceNow, Tickets
from app.errors import NotAllowed
from app.models.accounts import Role
from app.models.tickets import NewTicket
from app.models.views import TicketFilter
from app.schemas.copilot import TicketDetailOut
from app.schemas.tickets import (
    HIGHEST_ID,
    PROBLEMS,
    NoteIn,
    NoteOut,
    TicketChange,
    TicketIn,
    TicketOut,
    TicketQuery,
    TicketsOut,
)

api = APIRouter(prefix="/api/tickets", responses=PROBLEMS, tags=["Tickets"])
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]


@api.get("")
def api_list(
    query: Annotated[TicketQuery, Query()], tickets: Tickets, user: CurrentUser
) -> TicketsOut:
    """List tickets, newest first. Requesters see only their own."""
    wanted = TicketFilter(
        status=query.status or "",
        priority=query.priority or "",
        category=query.category,
        q=query.q.strip(),
        conflict=query.conflict,
    )
    last = min(int(query.cursor), HIGHEST_ID) if query.cursor else None
    found, cursor = tickets.after(wanted, user, last=last, limit=query.limit)
    return TicketsOut(
        tickets=[TicketOut.of(ticket) for ticket in found],
        next_cursor=str(cursor) if cursor else None,
    )


@api.post("", status_code=201)
def api_create(
    body: TicketIn,
    tickets: Tickets,
    user: CurrentUser,
    response: Response,
    idempotency_key: Annotated[str, Header(max_length=200)] = "",
) -> TicketOut:
    """Create a ticket and triage it. The same Idempotency-Key returns the same ticket (200)."""
    wanted = NewTicket(**body.model_dump())
    ticket, created = tickets.create(wanted, by=user, idempotency_key=idempotency_key)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/tickets/{ticket.id}"
    return TicketOut.of(ticket)


@api.get("/{ticket_id}")
def api_get(
    ticket_id: Id, tickets: Tickets, servicenow: ServiceNow, user: CurrentUser
) -> TicketDetailOut:
    """Get a ticket. Agents also see predictions with reasons, and conflicts with ServiceNow."""
    detail = tickets.detail(ticket_id, user)
    agent = user.role.may_act_as(Role.AGENT)
    card = servicenow.conflicts.of(ticket_id) if agent else None
    return TicketDetailOut.from_detail(detail, card.conflicts if card else ())


@api.patch("/{ticket_id}")
def api_change(ticket_id: Id, body: TicketChange, tickets: Tickets, user: CurrentUser) -> TicketOut:
    """Update a ticket. Changes to synced fields of a linked ticket are queued for ServiceNow."""
    return TicketOut.of(tickets.change(ticket_id, body.changes(), by=user))


@api.post("/{ticket_id}/notes", status_code=201)
def api_add_note(ticket_id: Id, body: NoteIn, tickets: Tickets, user: CurrentUser) -> NoteOut:
    """Add a comment or an internal note."""
    agent = user.role.may_act_as(Role.AGENT)
    if body.internal and not agent:
        raise NotAllowed("Only agents can write internal notes.")
    internal = agent if body.internal is None else body.internal
    note = tickets.add_note(ticket_id, body.body, internal=internal, by=user, push=body.send)
    return NoteOut.of(note)
