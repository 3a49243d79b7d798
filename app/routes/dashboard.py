"""The first page: how the desk stands."""

from fastapi import APIRouter, Request, Response

from app.deps import CurrentUser, ServiceNow, Tickets
from app.models import Role, TicketFilter
from app.web import page

pages = APIRouter(include_in_schema=False)


@pages.get("/")
def index(
    request: Request, user: CurrentUser, tickets: Tickets, servicenow: ServiceNow
) -> Response:
    """Counts and charts for agents, their own tickets for requesters."""
    agent = user.role.may_act_as(Role.AGENT)
    return page(
        request,
        "dashboard.html",
        counts=tickets.counts(user),
        latest=tickets.list(TicketFilter(status="unfinished"), user, sort="updated", page=1),
        connection=servicenow.connection.view() if agent else None,
    )
