"""Around the Copilot's predictions: accepted or replaced on a ticket."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Path, Response

from app.deps import CurrentUser, Decisions, require
from app.models import Role
from app.schemas import HIGHEST_ID, Word
from app.web import see_other

pages = APIRouter(include_in_schema=False, dependencies=[Depends(require(Role.AGENT))])
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Level = Annotated[Literal["1", "2", "3"], Form()]


@pages.post("/tickets/{ticket_id}/predictions/{prediction_id}/accept")
def accept(ticket_id: Id, prediction_id: Id, decisions: Decisions, user: CurrentUser) -> Response:
    """What triage said is right."""
    decisions.accept(ticket_id, prediction_id, by=user)
    return see_other(f"/tickets/{ticket_id}#triage")


@pages.post("/tickets/{ticket_id}/predictions/{prediction_id}/replace")
def replace(
    ticket_id: Id,
    prediction_id: Id,
    decisions: Decisions,
    user: CurrentUser,
    value: Annotated[Word, Form()] = "",
    impact: Level = "3",
    urgency: Level = "3",
) -> Response:
    """Something else is right: a category, or an impact and urgency."""
    decisions.replace(
        ticket_id, prediction_id, value, severity=(int(impact), int(urgency)), by=user
    )
    return see_other(f"/tickets/{ticket_id}#triage")
