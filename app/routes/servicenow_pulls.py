"""Pulling incidents, for admins: the import form of the ServiceNow page, and its JSON twin."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import StreamingResponse

from app.deps import CurrentUser, ServiceNow, WaitingServiceNow, require
from app.models import PulledRow, Role, SyncRun
from app.routes.csv_answers import csv_answer
from app.schemas import HIGHEST_ID, PROBLEMS, Storable
from app.schemas_servicenow import PullIn, RunOut, UndoOut
from app.services.servicenow import ServiceNowService
from app.web import fragment, is_partial, see_other

PULL_WAIT_SECONDS = 25
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=admins, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=admins, responses=PROBLEMS, tags=["ServiceNow"])

Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


@pages.post("/pulls")
def start_pull(
    request: Request,
    servicenow: ServiceNow,
    user: CurrentUser,
    limit: Annotated[int, Form()] = 1_000,
    query: Annotated[str, Form(max_length=4_000), Storable] = "",
    state: Annotated[list[str] | None, Form(max_length=10)] = None,
    import_tickets: Annotated[bool, Form()] = False,
    dry_run: Annotated[bool, Form()] = False,
    updated_from: Day = "",
    updated_until: Day = "",
) -> Response:
    """Start a pull, or join the same one that is under way. Days are whole days in UTC."""
    run = servicenow.pulls.start(
        by=user.email,
        limit=limit,
        query=query,
        state=",".join(state or ()),
        import_tickets=import_tickets,
        dry_run=dry_run,
        updated_from=_moment(updated_from, time.min),
        updated_until=_moment(updated_until, time(23, 59, 59)),
    )
    return _pull_card(request, servicenow, run)


@pages.get("/pulls/{run_id}")
def pull(request: Request, run_id: Id, servicenow: ServiceNow) -> Response:
    """The pull card: its progress while the run goes on."""
    return _pull_card(request, servicenow, servicenow.pulls.get(run_id))


@pages.post("/pulls/{run_id}/cancel")
def cancel(request: Request, run_id: Id, servicenow: ServiceNow) -> Response:
    return _pull_card(request, servicenow, servicenow.imports.cancel(run_id))


@pages.post("/pulls/{run_id}/undo")
def undo(request: Request, run_id: Id, servicenow: ServiceNow, user: CurrentUser) -> Response:
    """Take an import's untouched tickets away again."""
    servicenow.imports.undo(run_id, by=user.email)
    return _pull_card(request, servicenow, servicenow.pulls.get(run_id))


@pages.get("/pulls/{run_id}/report.csv")
def report(run_id: Id, servicenow: ServiceNow) -> Response:
    return _report(run_id, servicenow.imports.report(run_id))


def _pull_card(request: Request, servicenow: ServiceNowService, run: SyncRun) -> Response:
    if not is_partial(request):
        return see_other("/servicenow#pull-card")
    return fragment(
        request,
        "servicenow/pull_card.html",
        run=run,
        samples=servicenow.imports.samples(run),
        connection=servicenow.connection.view(),
    )


def _moment(day: str, at: time) -> datetime | None:
    return datetime.combine(date.fromisoformat(day), at, UTC) if day else None


def _report(run_id: int, rows: Iterable[PulledRow]) -> Response:
    head = ("number", "sys_id", "outcome", "reason", "ticket_id")
    lines = (
        (row.number, row.sys_id, row.outcome, row.reason, str(row.ticket_id or "")) for row in rows
    )
    return csv_answer(f"pull-{run_id}", head, lines)


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
        dry_run=body.dry_run,
        updated_from=body.updated_from,
        updated_until=body.updated_until,
    )
    run = servicenow.pulls.wait(run.id, seconds=PULL_WAIT_SECONDS)
    response.status_code = 200 if run.finished else 202
    response.headers["Location"] = f"/api/sn/sync/runs/{run.id}"
    return RunOut.of(run)


@api.get("/sync/runs/{run_id}")
def api_run(run_id: Id, servicenow: ServiceNow) -> RunOut:
    """One pull, as it stands."""
    return RunOut.of(servicenow.pulls.get(run_id))


@api.post("/sync/runs/{run_id}/cancel")
def api_cancel(run_id: Id, servicenow: ServiceNow) -> RunOut:
    """End a run within its page; 409 when it is over."""
    return RunOut.of(servicenow.imports.cancel(run_id))


@api.post("/sync/runs/{run_id}/undo")
def api_undo(run_id: Id, servicenow: ServiceNow, user: CurrentUser) -> UndoOut:
    """Take an import's untouched tickets away; 409 when there is nothing to take."""
    removed, kept = servicenow.imports.undo(run_id, by=user.email)
    return UndoOut(run_id=run_id, removed=removed, kept=kept)


@api.get("/sync/runs/{run_id}/report.csv", response_class=StreamingResponse)
def api_report(run_id: Id, servicenow: ServiceNow) -> Response:
    """What became of each incident of an import or a dry run, as CSV."""
    return _report(run_id, servicenow.imports.report(run_id))
