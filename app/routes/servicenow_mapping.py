"""The mapping of states, priorities and categories. Administrators can change it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.deps import CurrentUser, LiveServiceNow, ServiceNow, require
from app.errors import Conflict
from app.models.accounts import Role
from app.schemas.tickets import storable
from app.services.servicenow import ServiceNowService
from app.web import page, see_other

MAPPING = "/servicenow/mapping"
agents = [Depends(require(Role.AGENT))]
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)


async def typed_maps(request: Request) -> dict[str, str]:
    """The fields of the form. Their names depend on the choices of the instance."""
    form = await request.form(max_files=0, max_fields=1_000)
    return {
        name: value
        for name, value in form.items()
        if isinstance(value, str) and _storable(value, most=100_000 if name == "seen" else 100)
    }


def _storable(value: str, *, most: int) -> bool:
    try:
        return bool(storable(value)) and len(value) <= most
    except ValueError:
        return False


Typed = Annotated[dict[str, str], Depends(typed_maps)]


@pages.get("/mapping")
def index(request: Request, servicenow: ServiceNow) -> Response:
    """The mapping page with a preview of cached incidents."""
    return _mapping_page(request, servicenow)


@pages.post("/mapping/preview", dependencies=admins)
def preview(request: Request, servicenow: ServiceNow, typed: Typed) -> Response:
    """The mapping page with unsaved values."""
    return _mapping_page(request, servicenow, typed)


@pages.post("/mapping", dependencies=admins)
def change(request: Request, servicenow: ServiceNow, user: CurrentUser, typed: Typed) -> Response:
    """Save the mapping."""
    try:
        servicenow.mapping.change(typed, by=user.email)
    except Conflict as exc:
        return _mapping_page(request, servicenow, servicenow.mapping.retyped(typed), problem=exc)
    return see_other(MAPPING)


@pages.post("/mapping/reset", dependencies=admins)
def reset(servicenow: ServiceNow, user: CurrentUser) -> Response:
    servicenow.mapping.reset(by=user.email)
    return see_other(MAPPING)


@pages.post("/mapping/choices")
def read_choices(servicenow: LiveServiceNow) -> Response:
    """Reload the choices of the instance."""
    servicenow.mapping.read_again()
    return see_other(MAPPING)


def _mapping_page(
    request: Request,
    servicenow: ServiceNowService,
    typed: dict[str, str] | None = None,
    *,
    problem: Conflict | None = None,
) -> Response:
    return page(
        request,
        "servicenow/mapping.html",
        status_code=problem.status if problem else 200,
        view=servicenow.mapping.view(typed),
        connection=servicenow.connection.view(),
        problem=problem,
    )
