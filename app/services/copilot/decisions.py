"""Agents' decisions about predictions, saved as changes of the ticket."""

from typing import Any

from sqlalchemy import Engine

from app.db import predictions
from app.db.engine import reading
from app.errors import Conflict, NotFound
from app.models.accounts import User
from app.models.tickets import Ticket
from app.models.triage import Field, Prediction
from app.services.copilot.triage import TriageService
from app.services.tickets.service import TicketService


class Decisions:
    """Accept or correct predictions that are shown."""

    def __init__(self, engine: Engine, tickets: TicketService, triage: TriageService) -> None:
        self._engine = engine
        self._tickets = tickets
        self._triage = triage

    def accept(self, ticket_id: int, prediction_id: int, *, by: User) -> Ticket:
        """Accept a prediction. Raises NotFound, Conflict if it has changed or has no value."""
        said = self._said(ticket_id, prediction_id)
        if not said.sure:
            raise Conflict("There is no prediction to accept.", hint="Select a value instead.")
        changes: dict[str, Any] = {said.field: said.value}
        if said.impact and said.urgency:
            changes |= {"impact": said.impact, "urgency": said.urgency}
        return self._tickets.change(ticket_id, changes, by=by)

    def replace(
        self,
        ticket_id: int,
        prediction_id: int,
        value: str,
        *,
        severity: tuple[int, int],
        by: User,
    ) -> Ticket:
        """Correct a prediction: a category to `value`, a priority to `severity`.

        `severity` is (impact, urgency). Raises NotFound, Conflict, Invalid.
        """
        said = self._said(ticket_id, prediction_id)
        if said.field is Field.CATEGORY:
            return self._tickets.change(ticket_id, {"category": value}, by=by)
        impact, urgency = severity
        return self._tickets.change(ticket_id, {"impact": impact, "urgency": urgency}, by=by)

    def _said(self, ticket_id: int, prediction_id: int) -> Prediction:
        with reading(self._engine) as conn:
            shown = self._triage.shown(conn, ticket_id)
            every = predictions.of_ticket(conn, ticket_id)
        for view in shown:
            if view.stored.id == prediction_id:
                return view.said
        if any(one.id == prediction_id and one.shown for one in every):
            raise Conflict("This prediction has changed.", hint="Reload the ticket and try again.")
        raise NotFound("The prediction was not found.")
