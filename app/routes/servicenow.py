"""ServiceNow pages, and /api/sn for scripts. Both call ServiceNowService."""

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

# Seconds that a script waits for the end of a running test.
TEST_WAIT_SECONDS = 25
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
SysId = Annotated[str, Path(pattern="^[0-9a-zA-Z]{32}$")]
Short = Annotated[str, Form(max_length=500), Storable]
LongText = Annotated[str, Form(max_length=100_000), Storable]


# -- reading ---------------------------------------------------------------------------------


@pages.get("")
def index(
    request: Request,
    servicenow: ServiceNow,
    q: Wanted = "",
    state: Wanted = "",
    page_number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """The ServiceNow page from the cache; for htmx, only its table."""
    if is_partial(request):
        shown = servicenow.incidents.list(search=q, state=state, page=page_number)
        return fragment(request, "servicenow/incident_table.html", incidents=shown)
    overview = servicenow.incidents.overview(search=q, state=state, page=page_number)
    incoming = servicenow.incoming.view()
    return page(request, "servicenow/index.html", overview=overview, incoming=incoming)


@pages.post("/fetch")
def fetch_latest(request: Request, servicenow: LiveServiceNow) -> Response:
    """Cache the newest incidents of the instance."""
    servicenow.incidents.fetch_latest()
    if not is_partial(request):
        return see_other("/servicenow")
    overview = servicenow.incidents.overview()
    return fragment(request, "servicenow/fetched.html", overview=overview)


@pages.post("/test")
def test_connection(
    request: Request, servicenow: ServiceNow, background: BackgroundTasks
) -> Response:
    """Start the connection test, or join a running one. The card polls its steps."""
    if servicenow.connection_test.start():
        background.add_task(servicenow.connection_test.run)
    return _connection_card(request, servicenow.connection.view())


@pages.get("/test")
def connection_test(request: Request, servicenow: ServiceNow) -> Response:
    """The connection card with the steps so far."""
    return _connection_card(request, servicenow.connection.view())


@pages.get("/incidents/{sys_id}")
def incident(request: Request, sys_id: SysId, servicenow: LiveServiceNow) -> Response:
    """One incident: a dialog body for htmx, otherwise a page."""
    details = servicenow.incidents.incident_or_copy(sys_id)
    if is_partial(request):
        return fragment(request, "servicenow/incident_details.html", details=details)
    return page(request, "servicenow/incident.html", details=details)


@pages.get("/setup")
def setup(request: Request, servicenow: ServiceNow) -> Response:
    """The setup steps."""
    return page(request, "servicenow/setup.html", connection=servicenow.connection.view())


# -- updates ---------------------------------------------------------------------------------


@pages.get("/tickets/{ticket_id}/push")
def push(request: Request, ticket_id: Id, servicenow: ServiceNow, desk: Desk) -> Response:
    """The current push card. A card with a waiting update polls this."""
    status = servicenow.push.status(ticket_id)
    if is_partial(request) and status.sending:
        return fragment(request, "servicenow/push_card.html", status=status)
    return desk.after_push(status)


@pages.get("/tickets/{ticket_id}/incident")
def preview(request: Request, ticket_id: Id, servicenow: LiveServiceNow) -> Response:
    """The preview of a new incident."""
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
    status = servicenow.push.create_from_ticket(
        ticket_id, by=user.email, assignment_group=assignment_group
    )
    return desk.after_push(status)


@pages.post("/tickets/{ticket_id}/sync")
def sync_status(ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, desk: Desk) -> Response:
    return desk.after_push(servicenow.push.sync(ticket_id, by=user.email))


@pages.get("/tickets/{ticket_id}/work-note")
def write_work_note(request: Request, ticket_id: Id, servicenow: ServiceNow) -> Response:
    """The form with the suggested work note."""
    status = servicenow.push.status(ticket_id)
    text = servicenow.push.suggestions_note(ticket_id)
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
    status = servicenow.push.add_work_note(ticket_id, work_note, by=user.email)
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
    return desk.after_push(servicenow.push.status(ticket_id))


@pages.post("/tickets/{ticket_id}/unlink")
def unlink(
    ticket_id: Id,
    servicenow: ServiceNow,
    user: CurrentUser,
    desk: Desk,
    reason: LongText = "",
) -> Response:
    servicenow.linking.unlink(ticket_id, reason, by=user.email)
    return desk.after_push(servicenow.push.status(ticket_id))


@pages.post("/tickets/{ticket_id}/notice")
def dismiss_notice(
    ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, desk: Desk
) -> Response:
    """Dismiss the warning about the incident."""
    return desk.after_push(servicenow.push.dismiss_notice(ticket_id, by=user.email))


@pages.post("/tickets/{ticket_id}/duplicates/{sys_id}/cancel")
def cancel_duplicate(
    ticket_id: Id, sys_id: SysId, servicenow: LiveServiceNow, user: CurrentUser, desk: Desk
) -> Response:
    """Cancel a duplicate incident of the ticket in ServiceNow."""
    servicenow.duplicates.cancel(ticket_id, sys_id, by=user.email)
    return desk.after_push(servicenow.push.status(ticket_id))


# -- responses with and without htmx ----------------------------------------------


def _connection_card(request: Request, connection: ConnectionView) -> Response:
    if is_partial(request):
        return fragment(
            request, "servicenow/connection_card.html", connection=connection, opened=True
        )
    return see_other("/servicenow")


# -- API -----------------------------------------------------------------------------


@api.get("/health")
def api_health(servicenow: LiveServiceNow) -> HealthOut:
    """Connection status. Makes at most one call to ServiceNow, cached for 30 seconds."""
    return HealthOut.of(servicenow.connection.health())


@api.post("/health")
def api_test(servicenow: LiveServiceNow) -> HealthOut:
    """Run the connection test. Each step has a status, a cause and a hint."""
    return HealthOut.of(servicenow.connection_test.test_now(seconds=TEST_WAIT_SECONDS))


@api.get("/incidents")
def api_incidents(
    servicenow: LiveServiceNow,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 25,
    query: Annotated[str, Query(max_length=4_000)] = "",
    state: Annotated[str, Query(max_length=40)] = "",
) -> IncidentsOut:
    """List incidents live from ServiceNow, newest first. `query` is an encoded query."""
    return IncidentsOut.of(servicenow.incidents.live(query=query, state=state, limit=limit))


@api.get("/incidents/{sys_id}")
def api_incident(sys_id: SysId, servicenow: LiveServiceNow) -> IncidentDetailsOut:
    """Get one incident live from ServiceNow, with comments and work notes."""
    return IncidentDetailsOut.of_details(servicenow.incidents.incident(sys_id))


@api.post("/incidents/create-from-ticket/{ticket_id}", status_code=201)
def api_create_incident(
    ticket_id: Id, servicenow: ServiceNow, user: CurrentUser, response: Response
) -> PushOut:
    """Create the incident of a ticket: 201 created, 200 already linked, 202 waiting."""
    status = servicenow.push.create_from_ticket(ticket_id, by=user.email)
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
    """Send the ticket's status and unsent notes: 200 done, 202 waiting."""
    wanted = body or SyncTicketIn()
    status = servicenow.push.sync(
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
    """Cancel a duplicate incident. 409 if it does not have the ticket's correlation ID."""
    servicenow.duplicates.cancel(ticket_id, sys_id, by=user.email)
    return PushOut.of(servicenow.push.status(ticket_id))
