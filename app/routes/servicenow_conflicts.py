"""Conflicts: show and resolve fields that both the ticket and its incident changed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import CurrentUser, ServiceNow, require
from app.models.accounts import Role
from app.routes.ticket_page import Desk
from app.schemas.conflicts import ChoicesForm, ChoicesIn, ConflictsOut
from app.schemas.tickets import HIGHEST_ID, PROBLEMS
from app.web import page

agents = [Depends(require(Role.AGENT))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=agents, responses=PROBLEMS, tags=["ServiceNow"])
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]


@pages.get("/tickets/{ticket_id}/conflicts")
def conflicts(request: Request, ticket_id: Id, servicenow: ServiceNow) -> Response:
    """The conflict card as a page."""
    return page(request, "servicenow/conflicts.html", card=servicenow.conflicts.of(ticket_id))


@pages.post("/tickets/{ticket_id}/conflicts")
def resolve(
    ticket_id: Id,
    desk: Desk,
    form: Annotated[ChoicesForm, Form()],
) -> Response:
    conflicts = desk.servicenow.conflicts
    conflicts.resolve(ticket_id, form.chosen(), by=desk.user.email, seen=form.seen)
    return desk.done(ticket_id, "Choices saved.", focus=f"push-card-{ticket_id}")


@api.get("/tickets/{ticket_id}/conflicts")
def api_conflicts(ticket_id: Id, servicenow: ServiceNow) -> ConflictsOut:
    """List the fields that both the ticket and its incident changed."""
    return ConflictsOut.of(servicenow.conflicts.of(ticket_id))


@api.post("/tickets/{ticket_id}/conflicts")
def api_resolve(
    ticket_id: Id, body: ChoicesIn, servicenow: ServiceNow, user: CurrentUser
) -> ConflictsOut:
    """Resolve conflicts per field. Returns the remaining conflicts.

    409 if a value changed since `seen`.
    """
    card = servicenow.conflicts.resolve(ticket_id, body.chosen(), by=user.email, seen=body.seen)
    return ConflictsOut.of(card)
