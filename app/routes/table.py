"""Every route of the app."""

from collections.abc import Sequence
from functools import cache

from fastapi import APIRouter
from starlette.routing import BaseRoute

from app.routes import (
    account,
    admin,
    admin_copilot,
    articles,
    ask,
    copilot,
    dashboard,
    drafts,
    health,
    servicenow,
    servicenow_conflicts,
    servicenow_history,
    servicenow_incoming,
    servicenow_mapping,
    servicenow_outbox,
    servicenow_pulls,
    suggestions,
    tickets,
    tickets_api,
)

ROUTERS = (
    account.pages,
    admin.pages,
    admin_copilot.pages,
    articles.pages,
    ask.pages,
    dashboard.pages,
    drafts.pages,
    health.pages,
    suggestions.pages,
    tickets.pages,
    tickets_api.api,
    copilot.pages,
    copilot.api,
    servicenow.pages,
    servicenow.api,
    servicenow_conflicts.pages,
    servicenow_conflicts.api,
    servicenow_history.pages,
    servicenow_incoming.pages,
    servicenow_incoming.api,
    servicenow_mapping.pages,
    servicenow_outbox.pages,
    servicenow_outbox.api,
    servicenow_pulls.pages,
    servicenow_pulls.api,
)


@cache
def routes() -> Sequence[BaseRoute]:
    """All routes, built once, because building them takes 0.15 s."""
    every = APIRouter()
    for router in ROUTERS:
        every.include_router(router)
    return every.routes
