"""The outbox: waiting updates, actions on them, and the pause of sending."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from pydantic import AfterValidator

from app.deps import CurrentUser, LiveServiceNow, ServiceNow, require
from app.errors import Conflict, Invalid
from app.models.accounts import Role
from app.models.form_basis import Basis
from app.models.servicenow import OutboxKind, OutboxState, PushStatus
from app.models.servicenow_pages import OutboxFilter, PushEdit
from app.routes.forms import Seen
from app.routes.ticket_page import Desk, TicketDesk
from app.schemas.outbox import DiscardIn, OutboxOut
from app.schemas.servicenow import HealthOut, PushOut
from app.schemas.tickets import HIGHEST_ID, PROBLEMS, TEXT_LENGTH, Storable, Wanted, id_in
from app.services.servicenow import ServiceNowService
from app.web import announce, fragment, is_partial, page, see_other

OUTBOX = "/servicenow/outbox"
agents = [Depends(require(Role.AGENT))]
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=agents, responses=PROBLEMS, tags=["ServiceNow"])

Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Short = Annotated[str, Form(max_length=500), Storable]
LongText = Annotated[str, Form(max_length=TEXT_LENGTH), Storable]
# The outbox page with its filters; empty for a button on the push card of a ticket.
Back = Annotated[
    str,
    Form(max_length=500),
    AfterValidator(lambda path: path if path.partition("?")[0] == OUTBOX else ""),
]
State = Literal["", "waiting", "pending", "sending", "unconfirmed", "blocked", "done", "discarded"]


@pages.get("/outbox")
def index(
    request: Request,
    servicenow: ServiceNow,
    state: Wanted = "",
    kind: Wanted = "",
    ticket: Wanted = "",
    page_number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """The outbox, waiting items first; for htmx, only its table."""
    shown = servicenow.outbox.shown(_filter(state, kind, ticket), page=page_number)
    if is_partial(request):
        return fragment(request, "servicenow/outbox_table.html", shown=shown)
    view = servicenow.connection.view()
    return page(request, "servicenow/outbox.html", shown=shown, connection=view)


def _filter(state: str, kind: str, ticket: str) -> OutboxFilter:
    """The filter from the query string. Invalid values are ignored."""
    return OutboxFilter(
        state=state if state in ("waiting", *OutboxState) else "",
        kind=kind if kind in list(OutboxKind) else "",
        ticket=id_in(ticket),
    )


@pages.get("/outbox/{item_id}")
def edit(
    request: Request,
    item_id: Id,
    servicenow: LiveServiceNow,
    back: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """The form that edits a waiting update, with the choices of the instance."""
    back = back if back.partition("?")[0] == OUTBOX else ""
    return _edit_form(request, servicenow.outbox.edit_form(item_id), back)


@pages.post("/outbox/{item_id}/edit")
def edit_and_send(
    item_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    note: LongText = "",
    close_code: Short = "",
    assignment_group: Short = "",
    back: Back = "",
    seen: Seen = "",
) -> Response:
    """Change a waiting update and send it. `seen` holds the values that the form showed.

    An invalid form is shown again with what was typed.
    """
    typed = {"note": note, "close_code": close_code, "assignment_group": assignment_group}
    outbox, basis = servicenow.outbox, Basis.parse(seen)
    try:
        outbox.edit(item_id, by=user.email, **typed, basis=basis)
    except (Invalid, Conflict) as exc:
        now = outbox.edit_form(item_id, live=False)
        shown = now.basis if isinstance(exc, Conflict) else basis
        return _edit_form(desk.request, now, back, problem=exc, typed=typed, seen=shown)
    return _answer(desk, item_id, servicenow.push.status(outbox.row(item_id).ticket.id), back)


def _edit_form(
    request: Request,
    edit: PushEdit,
    back: str,
    *,
    problem: Invalid | Conflict | None = None,
    typed: Mapping[str, str] | None = None,
    seen: Basis | None = None,
) -> Response:
    """The edit form, in a dialog or as a page. Field ids get a prefix, unique on a ticket page."""
    answer = fragment if is_partial(request) else page
    response = answer(
        request,
        "servicenow/push_edit.html",
        status_code=problem.status if problem else 200,
        edit=edit,
        back=back,
        problem=problem,
        errors={f"edit-{name}": said for name, said in problem.fields.items()} if problem else {},
        typed=typed or {},
        seen=seen or edit.basis,
    )
    if problem:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#push-edit", "outerHTML"
    return response


@pages.post("/outbox/{item_id}/retry")
def retry(
    item_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    close_code: Short = "",
    none_found: Annotated[bool, Form()] = False,
    back: Back = "",
) -> Response:
    """Retry a waiting update now, with a close code if it needs one."""
    status = servicenow.outbox.retry(
        item_id, by=user.email, close_code=close_code, none_found=none_found
    )
    return _answer(desk, item_id, status, back)


@pages.post("/outbox/{item_id}/discard")
def discard(
    item_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    reason: LongText = "",
    back: Back = "",
) -> Response:
    status = servicenow.outbox.discard(item_id, reason, by=user.email)
    return _answer(desk, item_id, status, back)


def _answer(desk: TicketDesk, item_id: int, status: PushStatus, back: str) -> Response:
    """The outbox row or the push card, depending on the origin of the request."""
    if not back:
        return desk.after_push(status)
    if not is_partial(desk.request):
        return see_other(back)
    row = desk.servicenow.outbox.row(item_id)
    response = fragment(desk.request, "servicenow/outbox_row.html", row=row, back=back)
    return announce(response, status.outcome, close_dialog=True)


# -- the pause -------------------------------------------------------------------------------


@pages.post("/pause", dependencies=admins)
def pause(
    request: Request, servicenow: ServiceNow, user: CurrentUser, reason: LongText = ""
) -> Response:
    """Pause sending. All users see who paused it and why."""
    servicenow.outbox.pause(reason, by=user.email)
    return _pause_card(request, servicenow)


@pages.post("/resume", dependencies=admins)
def resume(request: Request, servicenow: ServiceNow) -> Response:
    servicenow.outbox.resume()
    return _pause_card(request, servicenow)


@pages.post("/creates/release", dependencies=admins)
def release_creates(request: Request, servicenow: ServiceNow, user: CurrentUser) -> Response:
    """Release new incidents after the database was restored or copied."""
    servicenow.held_creates.release(by=user.email)
    if not is_partial(request):
        return see_other("/servicenow#restore-card")
    restore = servicenow.held_creates.find()
    response = fragment(request, "servicenow/restore_card.html", restore=restore)
    return announce(response, "New incidents are released.", focus="restore-card")


def _pause_card(request: Request, servicenow: ServiceNowService) -> Response:
    if not is_partial(request):
        return see_other(OUTBOX)
    view = servicenow.connection.view()
    return fragment(request, "servicenow/pause_card.html", connection=view)


# -- API ---------------------------------------------------------------------------


@api.get("/outbox")
def api_outbox(
    servicenow: ServiceNow,
    state: State = "waiting",
    kind: Literal["", "create", "update", "note"] = "",
    ticket: Annotated[int | None, Query(ge=1, le=HIGHEST_ID)] = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=500)] = 500,
) -> OutboxOut:
    """List waiting and blocked outbox items, blocked first.

    `state=` also lists finished items.
    """
    wanted = OutboxFilter(state=state, kind=kind, ticket=ticket)
    shown = servicenow.outbox.shown(wanted, page=page, limit=limit)
    return OutboxOut.of(shown, servicenow.connection.view())


@api.post("/creates/release", dependencies=admins)
def api_release_creates(servicenow: ServiceNow, user: CurrentUser) -> HealthOut:
    """Release new incidents after the database was restored or copied. 409 if none are held."""
    servicenow.held_creates.release(by=user.email)
    return HealthOut.of(servicenow.connection.view())


@api.post("/outbox/{item_id}/retry")
def api_retry(
    item_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    response: Response,
    none_found: Annotated[bool, Query()] = False,
) -> PushOut:
    """Retry an outbox item now. 200 if nothing is waiting for the ticket, otherwise 202.

    `none_found`: a person searched for the incident of an unproven create and found none.
    """
    status = servicenow.outbox.retry(item_id, by=user.email, none_found=none_found)
    response.status_code = 202 if status.items else 200
    return PushOut.of(status)


@api.post("/outbox/{item_id}/discard")
def api_discard(item_id: Id, body: DiscardIn, servicenow: ServiceNow, user: CurrentUser) -> PushOut:
    """Discard a waiting outbox item with a reason. 409 if it may have arrived."""
    return PushOut.of(servicenow.outbox.discard(item_id, body.reason, by=user.email))
