"""Pulling incidents, for admins: the import form of the ServiceNow page, and its JSON twin."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import CurrentUser, ServiceNow, WaitingServiceNow, require
from app.models import ConnectionView, Role, SyncRun
from app.schemas import HIGHEST_ID, PROBLEMS
from app.schemas_servicenow import PullIn, RunOut
from app.web import fragment, is_partial, see_other

PULL_WAIT_SECONDS = 25
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=admins, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=admins, responses=PROBLEMS, tags=["ServiceNow"])

Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]


@pages.post("/pulls")
def start_pull(
    request: Request,
    servicenow: ServiceNow,
    user: CurrentUser,
    limit: Annotated[int, Form()] = 1_000,
    query: Annotated[str, Form(max_length=4_000)] = "",
    state: Annotated[str, Form(max_length=40)] = "",
    import_tickets: Annotated[bool, Form()] = False,
) -> Response:
    run = servicenow.pulls.start(
        by=user.email, limit=limit, query=query, state=state, import_tickets=import_tickets
    )
    return _pull_card(request, run, servicenow.connection.view())


@pages.get("/pulls/{run_id}")
def pull(request: Request, run_id: Id, servicenow: ServiceNow) -> Response:
    """The pull card: its progress while the run goes on."""
    return _pull_card(request, servicenow.pulls.get(run_id), servicenow.connection.view())


def _pull_card(request: Request, run: SyncRun, connection: ConnectionView) -> Response:
    if is_partial(request):
        return fragment(request, "servicenow/pull_card.html", run=run, connection=connection)
    return see_other("/servicenow#pull-card")


@api.post("/sync/pull")
def api_pull(
    body: PullIn, servicenow: WaitingServiceNow, user: CurrentUser, response: Response
) -> RunOut:
    """Pull incidents; waits up to 25 s: 200 with the finished run, else 202 with Location."""
    run = servicenow.pulls.start(
        by=user.email,
        limit=body.limit,
        query=body.query,
        state=body.state,
        import_tickets=body.import_,
    )
    run = servicenow.pulls.wait(run.id, seconds=PULL_WAIT_SECONDS)
    response.status_code = 200 if run.finished else 202
    response.headers["Location"] = f"/api/sn/sync/runs/{run.id}"
    return RunOut.of(run)


@api.get("/sync/runs/{run_id}")
def api_run(run_id: Id, servicenow: ServiceNow) -> RunOut:
    """One pull, as it stands."""
    return RunOut.of(servicenow.pulls.get(run_id))
