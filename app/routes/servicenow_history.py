"""The sync history: every exchange with ServiceNow about a ticket or an import."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.deps import ServiceNow, require
from app.models.accounts import Role
from app.models.servicenow_pages import FieldChange, HistoryEntry, HistoryFilter
from app.routes.csv_answers import csv_answer
from app.schemas.imports import FIRST_DAY, LAST_DAY
from app.schemas.tickets import Wanted, id_in
from app.web import fragment, is_partial, page, zone_of

agents = [Depends(require(Role.AGENT))]
pages = APIRouter(prefix="/servicenow", dependencies=agents, include_in_schema=False)
COLUMNS = (
    "exchange",
    "at",
    "direction",
    "what",
    "ticket_id",
    "number",
    "run_id",
    "who",
    "attempt",
    "outcome",
    "status",
    "transaction_id",
    "duration_ms",
    "detail",
    "field",
    "before",
    "after",
)
NOTHING = FieldChange("", "", "")


def history_filter(
    request: Request,
    ticket: Wanted = "",
    number: Wanted = "",
    who: Wanted = "",
    outcome: Wanted = "",
    direction: Wanted = "",
    since: Wanted = "",
    until: Wanted = "",
) -> HistoryFilter:
    """The filter from the query string. Invalid values are ignored."""
    return HistoryFilter(
        ticket=id_in(ticket),
        number=number.upper(),
        who=who,
        outcome=outcome,
        direction=direction if direction in ("push", "pull") else "",
        since=_day(since),
        until=_day(until),
        zone=zone_of(request),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


Filter = Annotated[HistoryFilter, Depends(history_filter)]


@pages.get("/history")
def index(
    request: Request,
    servicenow: ServiceNow,
    wanted: Filter,
    page_number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """The sync history, newest first; for htmx, only its table."""
    shown = servicenow.history.page(wanted, page=page_number)
    if is_partial(request):
        return fragment(request, "servicenow/history_table.html", shown=shown)
    return page(request, "servicenow/history.html", shown=shown)


@pages.get("/history.csv")
def export(servicenow: ServiceNow, wanted: Filter) -> Response:
    """All matching entries as CSV, one line per changed field."""
    return csv_answer("servicenow-history", COLUMNS, _lines(servicenow.history.all(wanted)))


def _lines(found: Iterable[HistoryEntry]) -> Iterator[Sequence[str]]:
    for one in found:
        told = (
            one.id,
            one.at.astimezone(UTC).isoformat(timespec="seconds"),
            *(getattr(one, name) for name in COLUMNS[2:14]),
        )
        words = ["" if value is None else str(value) for value in told]
        for change in one.changes or (NOTHING,):
            yield (*words, change.field, change.before, change.after)
