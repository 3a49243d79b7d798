"""The dashboard."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.deps import CurrentUser, Dashboard, ServiceNow, Tickets
from app.models.accounts import Role
from app.models.views import Counts, TicketFilter
from app.web import page

pages = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart. `share` is its length, 0 to 1; `tone` is its CSS class."""

    label: str
    number: int
    share: float
    href: str
    tone: str = ""


@pages.get("/")
def index(
    request: Request,
    user: CurrentUser,
    dashboard: Dashboard,
    tickets: Tickets,
    servicenow: ServiceNow,
) -> Response:
    """Show counts and charts to agents, and their own tickets to requesters."""
    agent = user.role.may_act_as(Role.AGENT)
    counts = dashboard.counts(user)
    return page(
        request,
        "dashboard.html",
        counts=counts,
        by_priority=_by_priority(counts),
        by_age=_by_age(counts),
        latest=tickets.list(TicketFilter(status="unfinished"), user, sort="updated", page=1),
        connection=servicenow.connection.view() if agent else None,
        triage=dashboard.triage() if agent else None,
    )


def _by_priority(counts: Counts) -> tuple[Bar, ...]:
    return _bars(
        (value.capitalize() or "Not set", number, f"&priority={value}", f"priority-{value}")
        for value, number in counts.by_priority
        if value or number
    )


def _by_age(counts: Counts) -> tuple[Bar, ...]:
    return _bars((label, number, "&sort=oldest", "") for label, number in counts.by_age)


def _bars(facts: Iterable[tuple[str, int, str, str]]) -> tuple[Bar, ...]:
    found = list(facts)
    most = max((number for _, number, _, _ in found), default=0) or 1
    return tuple(
        Bar(label, number, number / most, f"/tickets?status=unfinished{query}", tone)
        for label, number, query, tone in found
    )
