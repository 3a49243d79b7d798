"""Decisions about predictions, and triage accuracy."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response

from app.deps import AccuracyFigures, Copilot, Decisions, require
from app.models.accounts import Role
from app.models.accuracy import Accuracy
from app.routes.ticket_page import Desk
from app.schemas.tickets import HIGHEST_ID, PROBLEMS, Word
from app.services.copilot.accuracy import SPANS
from app.web import page

agents = [Depends(require(Role.AGENT))]
pages = APIRouter(include_in_schema=False, dependencies=agents)
api = APIRouter(prefix="/api/copilot", dependencies=agents, responses=PROBLEMS, tags=["Copilot"])
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Level = Annotated[Literal["1", "2", "3"], Form()]


@pages.post("/tickets/{ticket_id}/predictions/{prediction_id}/accept")
def accept(ticket_id: Id, prediction_id: Id, decisions: Decisions, desk: Desk) -> Response:
    """Accept a prediction."""
    decisions.accept(ticket_id, prediction_id, by=desk.user)
    return desk.done(ticket_id, "Prediction accepted.", anchor="triage")


@pages.post("/tickets/{ticket_id}/predictions/{prediction_id}/replace")
def replace(
    ticket_id: Id,
    prediction_id: Id,
    decisions: Decisions,
    desk: Desk,
    value: Annotated[Word, Form()] = "",
    impact: Level = "3",
    urgency: Level = "3",
) -> Response:
    """Correct a prediction with a category, or an impact and urgency."""
    severity = (int(impact), int(urgency))
    decisions.replace(ticket_id, prediction_id, value, severity=severity, by=desk.user)
    return desk.done(ticket_id, "Correction saved.", anchor="triage")


@pages.get("/copilot/accuracy")
def accuracy(
    request: Request, figures: AccuracyFigures, copilot: Copilot, days: int = SPANS[0]
) -> Response:
    """Show triage accuracy; an unknown number of days means the shortest span."""
    return page(
        request,
        "copilot/accuracy.html",
        accuracy=figures.view(days if days in SPANS else SPANS[0]),
        spans=SPANS,
        resting=copilot.rests_on(),
    )


@api.get("/accuracy")
def api_accuracy(
    figures: AccuracyFigures, days: Annotated[int, Query(ge=1, le=365)] = SPANS[0]
) -> Accuracy:
    """Triage accuracy. `quality` is null while fewer than 30 predictions have a decision."""
    return figures.view(days)
