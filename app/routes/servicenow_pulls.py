"""Imports, for administrators: the form of the ServiceNow page, and the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import StreamingResponse

from app.deps import CurrentUser, ServiceNow, WaitingServiceNow, require
from app.errors import Invalid
from app.models.accounts import Role
from app.models.sync_runs import PulledRow, SyncRun
from app.routes.csv_answers import csv_answer
from app.routes.forms import checked
from app.schemas.imports import PullForm, PullIn, RunOut, UndoOut
from app.schemas.tickets import HIGHEST_ID, PROBLEMS
from app.web import fragment, is_partial, page, see_other

PULL_WAIT_SECONDS = 25
admins = [Depends(require(Role.ADMIN))]
pages = APIRouter(prefix="/servicenow", dependencies=admins, include_in_schema=False)
api = APIRouter(prefix="/api/sn", dependencies=admins, responses=PROBLEMS, tags=["ServiceNow"])

Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Typed = Annotated[str, Form(max_length=100_000)]


@dataclass(frozen=True)
class PullDesk:
    """Renders the import card. An invalid form is shown again with its errors."""

    request: Request
    servicenow: ServiceNow
    user: CurrentUser

    def start(self, typed: Mapping[str, object]) -> Response:
        try:
            wanted = checked(PullForm, typed).wanted()
            run = self.servicenow.imports.start(by=self.user.email, **wanted)
        except Invalid as exc:
            return self._form_again(exc, typed)
        return self.card(run)

    def card(self, run: SyncRun) -> Response:
        if not is_partial(self.request):
            return see_other(f"/servicenow/pulls/{run.id}")
        pull = self.servicenow.imports.view(run)
        return fragment(self.request, "servicenow/pull_card.html", pull=pull)

    def page(self, run: SyncRun) -> Response:
        pull = self.servicenow.imports.view(run)
        return page(self.request, "servicenow/pull.html", pull=pull)

    def _form_again(self, problem: Invalid, typed: Mapping[str, object]) -> Response:
        overview = self.servicenow.incidents.overview()
        again: dict[str, Any] = {"status_code": problem.status, "problem": problem, "typed": typed}
        if not is_partial(self.request):
            again |= {"overview": overview, "incoming": self.servicenow.incoming.view()}
            return page(self.request, "servicenow/index.html", **again)
        again |= {"pull": overview.pull}
        return fragment(self.request, "servicenow/pull_card.html", **again)


Desk = Annotated[PullDesk, Depends()]


@pages.post("/pulls")
def start_pull(
    desk: Desk,
    limit: Typed = "1000",
    query: Typed = "",
    state: Annotated[list[str] | None, Form(max_length=20)] = None,
    import_tickets: Typed = "",
    dry_run: Typed = "",
    updated_from: Typed = "",
    updated_until: Typed = "",
) -> Response:
    """Start an import, or join the same one if it is running. Dates are whole days in UTC."""
    typed = {
        "limit": limit,
        "query": query,
        "state": state or [],
        "import_tickets": import_tickets or False,
        "dry_run": dry_run or False,
        "updated_from": updated_from,
        "updated_until": updated_until,
    }
    return desk.start(typed)


@pages.get("/pulls/{run_id}")
def pull(desk: Desk, run_id: Id) -> Response:
    """The import card with the progress or the result of a run."""
    run = desk.servicenow.imports.get(run_id)
    return desk.card(run) if is_partial(desk.request) else desk.page(run)


@pages.get("/pulls/{run_id}/indexing")
def indexing(desk: Desk, run_id: Id) -> Response:
    """How many tickets of an import no search finds yet."""
    run = desk.servicenow.imports.get(run_id)
    if not is_partial(desk.request):
        return see_other(f"/servicenow/pulls/{run.id}")
    unindexed = desk.servicenow.imports.view(run).unindexed
    return fragment(desk.request, "servicenow/pull_indexing.html", run=run, unindexed=unindexed)


@pages.post("/pulls/{run_id}/cancel")
def cancel(desk: Desk, run_id: Id) -> Response:
    return desk.card(desk.servicenow.imports.cancel(run_id))


@pages.post("/pulls/{run_id}/undo")
def undo(desk: Desk, run_id: Id) -> Response:
    """Delete the unchanged tickets of an import."""
    return desk.card(desk.servicenow.imports.undo(run_id, by=desk.user.email))


@pages.get("/pulls/{run_id}/report.csv")
def report(run_id: Id, servicenow: ServiceNow) -> Response:
    return _report(run_id, servicenow.imports.report(run_id))


def _report(
    run_id: int, chunks: Iterator[Sequence[PulledRow]], *, for_programs: bool = False
) -> Response:
    head = ("number", "sys_id", "outcome", "reason", "ticket_id")
    lines = (
        (row.number, row.sys_id, row.outcome, row.reason, str(row.ticket_id or ""))
        for rows in chunks
        for row in rows
    )
    return csv_answer(f"pull-{run_id}", head, lines, for_programs=for_programs)


@api.post("/sync/pull")
def api_pull(
    body: PullIn, servicenow: WaitingServiceNow, user: CurrentUser, response: Response
) -> RunOut:
    """Import incidents. Waits up to 25 s.

    200 with the finished run, otherwise 202 with Location.
    """
    run = servicenow.imports.start(
        by=user.email,
        limit=body.limit,
        query=body.query,
        state=body.state,
        import_tickets=body.import_,
        dry_run=body.dry_run,
        updated_from=body.updated_from,
        updated_until=body.updated_until,
    )
    run = servicenow.imports.wait(run.id, seconds=PULL_WAIT_SECONDS)
    response.status_code = 200 if run.finished else 202
    response.headers["Location"] = f"/api/sn/sync/runs/{run.id}"
    return RunOut.of(run)


@api.get("/sync/runs/{run_id}")
def api_run(run_id: Id, servicenow: ServiceNow) -> RunOut:
    """Get the current state of an import run."""
    return RunOut.of(servicenow.imports.get(run_id))


@api.post("/sync/runs/{run_id}/cancel")
def api_cancel(run_id: Id, servicenow: ServiceNow) -> RunOut:
    """Cancel a run after the current page. 409 if it is finished."""
    return RunOut.of(servicenow.imports.cancel(run_id))


@api.post("/sync/runs/{run_id}/undo")
def api_undo(run_id: Id, servicenow: ServiceNow, user: CurrentUser, response: Response) -> UndoOut:
    """Delete the unchanged tickets of an import. 409 if there are none.

    A long undo returns 202 with Location and the number deleted so far. `undone_at` is set at the
    end.
    """
    run = servicenow.imports.undo(run_id, by=user.email)
    response.status_code = 202 if run.undoing else 200
    response.headers["Location"] = f"/api/sn/sync/runs/{run.id}"
    return UndoOut.of(run)


@api.get("/sync/runs/{run_id}/report.csv", response_class=StreamingResponse)
def api_report(run_id: Id, servicenow: ServiceNow) -> Response:
    """Result of each incident in an import or dry run, as CSV."""
    return _report(run_id, servicenow.imports.report(run_id), for_programs=True)
