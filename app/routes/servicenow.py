"""ServiceNow: pages for people and /api/sn for scripts. Both call ServiceNowService."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Form, Path, Query, Request, Response

from app.deps import (
    CurrentUser,
    LiveServiceNow,
    ServiceNow,
    require,
)
from app.models.accounts import Role
from app.models.views import ConnectionView
from app.routes.ticket_page import Desk
from app.schemas.servicenow import (
    HealthOut,
    IncidentDetailsOut,
    IncidentsOut,
    PushOut,
    SyncTicketIn,
)
from app.schemas.tickets import PROBLEMS, Storable, Wanted
from app.web import fragment, is_partial, page, see_other

agents = [Depends(require(Role.AGENT))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=agents, responses=PROBLEMS, tags=["ServiceNow"])

# A script that meets a running test waits this long for its end.
TEST_WAIT_SECONDS = 25
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
SysId = Annotated[str, Path(pattern="^[0-9a-zA-Z]{32}$")]
Short = Annotated[str, Form(max_length=500), Storable]
LongText = Annotated[str, Form(max_length=100_000), Storable]


# -- looking ---------------------------------------------------------------------------------


@pages.get("")
def index(
    request: Request,
    servicenow: ServiceNow,
    q: Wanted = "",
    state: Wanted = "",
    page_number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """The ServiceNow page from our own database; its table alone for htmx."""
    if is_partial(request):
        shown = servicenow.reads.list(search=q, state=state, page=page_number)
        return fragment(request, "servicenow/incident_table.html", incidents=shown)
    overview = servicenow.reads.overview(search=q, state=state, page=page_number)
    incoming = servicenow.incoming.view()
    return page(request, "servicenow/index.html", overview=overview, incoming=incoming)


@pages.post("/fetch")
def fetch_latest(request: Request, servicenow: LiveServiceNow) -> Response:
    """Read the newest incidents from the instance into the mirror."""
    servicenow.reads.fetch_latest()
    if not is_partial(request):
        return see_other("/servicenow")
    overview = servicenow.reads.overview()
    return fragment(request, "servicenow/fetched.html", overview=overview)


@pages.post("/test")
def test_connection(
    request: Request, servicenow: ServiceNow, background: BackgroundTasks
) -> Response:
    """Start the full test, or join the one that runs; the card asks for its steps."""
    if servicenow.checking.start():
        background.add_task(servicenow.checking.run)
    return _connection_card(request, servicenow.connection.view())


@pages.get("/test")
def connection_test(request: Request, servicenow: ServiceNow) -> Response:
    """The card with the steps so far."""
    return _connection_card(request, servicenow.connection.view())


@pages.get("/incidents/{sys_id}")
def incident(request: Request, sys_id: SysId, servicenow: LiveServiceNow) -> Response:
    """One incident: the body of the dialog for htmx, a page for everybody else."""
    details = servicenow.reads.incident_or_copy(sys_id)
    if is_partial(request):
        return fragment(request, "servicenow/incident_details.html", details=details)
    return page(request, "servicenow/incident.html", details=details)


@pages.get("/setup")
def setup(request: Request, servicenow: ServiceNow) -> Response:
    """How to connect an instance, in short; the README says it at length."""
    return page(request, "servicenow/setup.html", connection=servicenow.connection.view())


# -- pushing ---------------------------------------------------------------------------------


@pages.get("/tickets/{ticket_id}/push")
def push(request: Request, ticket_id: Id, servicenow: ServiceNow, desk: Desk) -> Response:
    """The push card as it stands: what a card with something on its way asks for again."""
    status = servicenow.pushes.status(ticket_id)
    if is_partial(request) and status.sending:
        return fragment(request, "servicenow/push_card.html", status=status)
    return desk.after_push(status)


@pages.get("/tickets/{ticket_id}/incident")
def preview(request: Request, ticket_id: Id, servicenow: LiveServiceNow) -> Response:
    """What a create would send, field by field."""
    shown = servicenow.previews.of(ticket_id)
    if is_partial(request):
        return fragment(request, "servicenow/preview.html", preview=shown)
    return page(request, "servicenow/preview.html", preview=shown)


@pages.post("/tickets/{ticket_id}/incident")
def create_incident(
    ticket_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    assignment_group: Short = "",
) -> Response:
    status = servicenow.pushes.create_from_ticket(
        ticket_id, by=user.email, assignment_group=assignment_group
    )
    return desk.after_push(status)


@pages.post("/tickets/{ticket_id}/sync")
def sync_status(ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, desk: Desk) -> Response:
    return desk.after_push(servicenow.pushes.sync(ticket_id, by=user.email))


@pages.get("/tickets/{ticket_id}/work-note")
def write_work_note(request: Request, ticket_id: Id, servicenow: ServiceNow) -> Response:
    """The suggested work note in a box, to be edited before it is sent."""
    status = servicenow.pushes.status(ticket_id)
    text = servicenow.pushes.suggestions_note(ticket_id)
    answer = fragment if is_partial(request) else page
    return answer(request, "servicenow/work_note.html", status=status, text=text)


@pages.post("/tickets/{ticket_id}/work-note")
def add_work_note(
    ticket_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    work_note: LongText = "",
) -> Response:
    status = servicenow.pushes.add_work_note(ticket_id, work_note, by=user.email)
    return desk.after_push(status)


@pages.post("/tickets/{ticket_id}/link")
def link(
    ticket_id: Id,
    servicenow: LiveServiceNow,
    user: CurrentUser,
    desk: Desk,
    number: Short = "",
) -> Response:
    servicenow.linking.link(ticket_id, number, by=user.email)
    return desk.after_push(servicenow.pushes.status(ticket_id))


@pages.post("/tickets/{ticket_id}/unlink")
def unlink(
    ticket_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    reason: LongText = "",
) -> Response:
    servicenow.linking.unlink(ticket_id, reason, by=user.email)
    return desk.after_push(servicenow.pushes.status(ticket_id))


@pages.post("/tickets/{ticket_id}/notice")
def dismiss_notice(
    ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, desk: Desk
) -> Response:
    """The warning about the incident was read."""
    return desk.after_push(servicenow.pushes.dismiss_notice(ticket_id, by=user.email))


@pages.post("/tickets/{ticket_id}/duplicates/{sys_id}/cancel")
def cancel_duplicate(
    ticket_id: Id, sys_id: SysId, servicenow: LiveServiceNow, user: CurrentUser, desk: Desk
) -> Response:
    """Cancel a second incident of the ticket in ServiceNow."""
    servicenow.duplicates.cancel(ticket_id, sys_id, by=user.email)
    return desk.after_push(servicenow.pushes.status(ticket_id))


# -- answers for htmx and for browsers without it ----------------------------------------------


def _connection_card(request: Request, connection: ConnectionView) -> Response:
    if is_partial(request):
        return fragment(
            request, "servicenow/connection_card.html", connection=connection, opened=True
        )
    return see_other("/servicenow")


# -- the JSON door -----------------------------------------------------------------------------


@api.get("/health")
def api_health(servicenow: LiveServiceNow) -> HealthOut:
    """How the connection stands: at most one call to ServiceNow, kept 30 seconds."""
    return HealthOut.of(servicenow.connection.health())


@api.post("/health")
def api_test(servicenow: LiveServiceNow) -> HealthOut:
    """Run the full test now: every step passed, failed or skipped, with cause and next step."""
    return HealthOut.of(servicenow.checking.test_now(seconds=TEST_WAIT_SECONDS))


@api.get("/incidents")
def api_incidents(
    servicenow: LiveServiceNow,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 25,
    query: Annotated[str, Query(max_length=4_000)] = "",
    state: Annotated[str, Query(max_length=40)] = "",
) -> IncidentsOut:
    """Incidents live from ServiceNow, latest first. `query` is an encoded query."""
    return IncidentsOut.of(servicenow.reads.live(query=query, state=state, limit=limit))


@api.get("/incidents/{sys_id}")
def api_incident(sys_id: SysId, servicenow: LiveServiceNow) -> IncidentDetailsOut:
    """One incident live from ServiceNow, with its comments and work notes."""
    return IncidentDetailsOut.of_details(servicenow.reads.incident(sys_id))


@api.post("/incidents/create-from-ticket/{ticket_id}", status_code=201)
def api_create_incident(
    ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, response: Response
) -> PushOut:
    """One incident for this ticket: 201 created now, 200 linked before, 202 owed."""
    status = servicenow.pushes.create_from_ticket(ticket_id, by=user.email)
    response.status_code = 201 if status.created else 200 if status.linked else 202
    return PushOut.of(status)


@api.patch("/incidents/{sys_id}/sync-ticket/{ticket_id}")
def api_sync_ticket(
    sys_id: SysId,
    ticket_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    response: Response,
    body: SyncTicketIn | None = None,
) -> PushOut:
    """Send the ticket's status and its notes not sent yet: 200 done, 202 not yet."""
    wanted = body or SyncTicketIn()
    status = servicenow.pushes.sync(
        ticket_id,
        by=user.email,
        sys_id=sys_id,
        work_note=wanted.work_note,
        include_suggestions=wanted.include_suggestions,
    )
    response.status_code = 202 if status.items else 200
    return PushOut.of(status)


@api.post("/tickets/{ticket_id}/duplicates/{sys_id}/cancel")
def api_cancel_duplicate(
    ticket_id: Id, sys_id: SysId, servicenow: LiveServiceNow, user: CurrentUser
) -> PushOut:
    """Cancel a second incident of the ticket; 409 when it does not carry the ticket's key."""
    servicenow.duplicates.cancel(ticket_id, sys_id, by=user.email)
    return PushOut.of(servicenow.pushes.status(ticket_id))
