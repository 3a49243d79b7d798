"""Pages of tickets: list, new ticket, ticket page and its forms."""

import uuid
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response

from app.deps import Copilot, CurrentUser, Similar, Tickets, require
from app.errors import Invalid
from app.models.accounts import Role
from app.models.tickets import NewTicket
from app.models.views import TicketFilter
from app.routes.forms import Seen, Typed, checked, keep_note
from app.routes.ticket_page import Desk
from app.schemas.tickets import HIGHEST_ID, NoteIn, Storable, TicketIn, Wanted
from app.web import fragment, is_partial, page, see_other

pages = APIRouter(include_in_schema=False)
agents = [Depends(require(Role.AGENT))]
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]


@pages.get("/tickets")
def index(
    request: Request,
    tickets: Tickets,
    copilot: Copilot,
    user: CurrentUser,
    q: Wanted = "",
    status: Wanted = "",
    priority: Wanted = "",
    category: Wanted = "",
    assignee: Wanted = "",
    conflict: Wanted = "",
    sort: str = "updated",
    page_number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """List tickets; only the table for htmx. The address holds all filters."""
    wanted = TicketFilter(
        status=status,
        priority=priority,
        category=category,
        assignee=assignee,
        q=q,
        conflict=bool(conflict),
    )
    shown = tickets.list(wanted, user, sort=sort, page=page_number)
    if is_partial(request):
        return fragment(request, "tickets/table.html", shown=shown)
    return page(
        request,
        "tickets/index.html",
        shown=shown,
        categories=copilot.categories(),
        agents=tickets.agents() if user.role.may_act_as(Role.AGENT) else (),
    )


@pages.get("/tickets/new")
def new(request: Request, copilot: Copilot, _: CurrentUser) -> Response:
    return _new_page(request, copilot.categories(), {}, problem=None, key=uuid.uuid4().hex)


@pages.post("/tickets")
def create(
    request: Request,
    tickets: Tickets,
    copilot: Copilot,
    user: CurrentUser,
    subject: Typed = "",
    description: Typed = "",
    requester_email: Typed = "",
    priority: Typed = "",
    category: Typed = "",
    key: Annotated[str, Form(max_length=200), Storable] = "",
) -> Response:
    """Create a ticket; `key` identifies the form, so that a double click creates only one."""
    typed = {
        "subject": subject,
        "description": description.replace("\r\n", "\n"),
        "requester_email": requester_email,
        "priority": priority or None,
        "category": category or None,
    }
    try:
        wanted = NewTicket(**checked(TicketIn, typed).model_dump())
        ticket, _ = tickets.create(wanted, by=user, idempotency_key=key)
    except Invalid as exc:
        return _new_page(request, copilot.categories(), typed, problem=exc, key=key)
    return see_other(f"/tickets/{ticket.id}")


@pages.get("/tickets/{ticket_id}")
def show(ticket_id: Id, desk: Desk) -> Response:
    return desk.ticket_page(ticket_id)


@pages.post("/tickets/{ticket_id}/reveal", dependencies=agents)
def show_secrets(ticket_id: Id, desk: Desk) -> Response:
    """Show secrets in the response itself, so that they are not stored anywhere."""
    return desk.revealed_page(ticket_id)


@pages.get("/tickets/{ticket_id}/similar", dependencies=agents)
def similar_ones(request: Request, ticket_id: Id, similar: Similar) -> Response:
    """Show similar resolved tickets; only the card for htmx."""
    shown = similar.of_ticket(ticket_id)
    if is_partial(request):
        return fragment(request, "tickets/similar.html", similar=shown)
    return page(request, "tickets/similar.html", similar=shown)


@pages.post("/tickets/{ticket_id}/edit", dependencies=agents)
def edit(
    ticket_id: Id,
    desk: Desk,
    seen: Seen = "",
    subject: Typed = "",
    description: Typed = "",
    priority: Typed = "",
    category: Typed = "",
    assignee: Typed = "",
    assignment_group: Annotated[str | None, Form(max_length=300)] = None,
) -> Response:
    """Edit the ticket's fields; `seen` is the form's basis."""
    typed = {
        "subject": subject,
        "description": description.replace("\r\n", "\n"),
        "priority": priority or None,
        "category": category or None,
        "assignee": assignee or None,
    }
    if assignment_group is not None:
        typed["assignment_group"] = assignment_group or None
    return desk.change(ticket_id, typed, seen, form="edit", said="Ticket saved.")


@pages.post("/tickets/{ticket_id}/status", dependencies=agents)
def set_status(
    ticket_id: Id,
    desk: Desk,
    seen: Seen = "",
    status: Typed = "",
    resolution_code: Typed = "",
    resolution_notes: Typed = "",
) -> Response:
    """Set the status; resolving and closing require a resolution code and notes."""
    typed: dict[str, str | None] = {"status": status}
    if resolution_code:
        typed["resolution_code"] = resolution_code
    if resolution_notes:
        typed["resolution_notes"] = resolution_notes.replace("\r\n", "\n")
    return desk.change(ticket_id, typed, seen, form="status", said="Status saved.")


@pages.post("/tickets/{ticket_id}/notes", dependencies=[Depends(keep_note)])
def add_note(
    ticket_id: Id,
    desk: Desk,
    body: Typed = "",
    kind: Typed = "comment",
    send: Annotated[tuple[str, ...], Form()] = (),
) -> Response:
    """Add a comment or an internal note; `send` holds the kinds selected for ServiceNow."""
    internal = kind == "internal" and desk.user.role.may_act_as(Role.AGENT)
    ticked = ("internal" if internal else "comment") in send
    try:
        note = checked(NoteIn, {"body": body.replace("\r\n", "\n"), "internal": internal})
        push = ticked if desk.tickets.get(ticket_id, desk.user).linked else None
        added = desk.tickets.add_note(
            ticket_id, note.body, internal=internal, by=desk.user, push=push
        )
    except Invalid as exc:
        return desk.refused(ticket_id, exc, {"body": body, "kind": kind, "send": send})
    by_agent = desk.user.role.may_act_as(Role.AGENT)
    said = "Internal note added." if internal else "Reply sent." if by_agent else "Comment added."
    return desk.done(ticket_id, said, focus=f"entry-{added.id}")


def _new_page(
    request: Request,
    categories: tuple[str, ...],
    typed: Mapping[str, str | None],
    *,
    problem: Invalid | None,
    key: str,
) -> Response:
    return page(
        request,
        "tickets/new.html",
        status_code=problem.status if problem else 200,
        categories=categories,
        typed=typed,
        problem=problem,
        key=key,
    )
