"""Incoming changes: their status, and the controls for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from app.deps import ServiceNow, require
from app.models.accounts import Role
from app.schemas.incoming import IncomingOut
from app.schemas.tickets import PROBLEMS
from app.services.servicenow import ServiceNowService
from app.web import fragment, is_partial, see_other

agents = [Depends(require(Role.AGENT))]
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=agents, responses=PROBLEMS, tags=["ServiceNow"])


@pages.get("/incoming")
def incoming(request: Request, servicenow: ServiceNow) -> Response:
    """The card of incoming changes."""
    return _card(request, servicenow)


@pages.post("/incoming/pull", dependencies=admins)
def pull_now(request: Request, servicenow: ServiceNow) -> Response:
    """Check for incoming changes at the next worker run."""
    servicenow.incoming.ask()
    return _card(request, servicenow)


@pages.post("/incoming/switch", dependencies=admins)
def switch(
    request: Request, servicenow: ServiceNow, on: Annotated[bool, Form()] = False
) -> Response:
    """Turn incoming changes on or off."""
    servicenow.incoming.switch(on=on)
    return _card(request, servicenow)


@pages.get("/unmapped")
def unmapped(request: Request, servicenow: ServiceNow) -> Response:
    """Unmapped values: a card for htmx, otherwise the mapping page."""
    if not is_partial(request):
        return see_other("/servicenow/mapping#unmapped")
    values = servicenow.mapping.unmapped()
    return fragment(request, "servicenow/unmapped_card.html", values=values)


def _card(request: Request, servicenow: ServiceNowService) -> Response:
    if is_partial(request):
        view = servicenow.incoming.view()
        return fragment(request, "servicenow/incoming_card.html", incoming=view)
    return see_other("/servicenow#incoming-card")


@api.get("/incoming")
def api_incoming(servicenow: ServiceNow) -> IncomingOut:
    """Status of incoming changes, with the number of hidden incidents."""
    return IncomingOut.of(servicenow.incoming.view())


@api.post("/incoming/pull", status_code=202, dependencies=admins)
def api_pull_now(servicenow: ServiceNow) -> IncomingOut:
    """Check for incoming changes at the next worker run."""
    servicenow.incoming.ask()
    return IncomingOut.of(servicenow.incoming.view())
