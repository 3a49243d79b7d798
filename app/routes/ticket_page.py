"""The page of one ticket and the responses to its forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from app.deps import Copilot, CurrentUser, Privacy, ServiceNow, Tickets
from app.errors import Conflict, Invalid
from app.models.accounts import Role, User
from app.models.form_basis import Basis
from app.models.servicenow import PushStatus
from app.models.tickets import RESOLUTION_CODES
from app.routes.forms import checked
from app.schemas.tickets import TicketChange
from app.web import announce, fragment, is_partial, page, see_other, shows


@dataclass(frozen=True)
class TicketParts:
    """The services of a ticket page, before the user is known."""

    request: Request
    tickets: Tickets
    servicenow: ServiceNow
    copilot: Copilot
    privacy: Privacy

    def of(self, user: User) -> "TicketDesk":
        return TicketDesk(
            self.request, self.tickets, self.servicenow, self.copilot, self.privacy, user
        )


@dataclass(frozen=True)
class TicketDesk(TicketParts):
    """The ticket page of a user; an invalid form is shown again on it."""

    user: CurrentUser

    def ticket_page(
        self,
        ticket_id: int,
        *,
        problem: Invalid | Conflict | None = None,
        typed: Mapping[str, object] | None = None,
        revealed: bool = False,
        notice: str = "",
    ) -> Response:
        agent = self.user.role.may_act_as(Role.AGENT)
        return page(
            self.request,
            "tickets/show.html",
            status_code=problem.status if problem else 200,
            detail=self.tickets.detail(ticket_id, self.user, revealed=revealed),
            status=self.servicenow.push.status(ticket_id) if agent else None,
            card=self.servicenow.conflicts.of(ticket_id) if agent else None,
            categories=self.copilot.categories(),
            resting=self.copilot.rests_on() if agent else "",
            agents=self.tickets.agents() if agent else (),
            groups=self.servicenow.push.groups() if agent else (),
            codes=RESOLUTION_CODES,
            problem=problem,
            errors=problem.fields if problem else {},
            typed=typed or {},
            notice=notice,
        )

    def done(self, ticket_id: int, said: str, *, focus: str = "", anchor: str = "") -> Response:
        """The response to a successful change: the updated page, or a redirect to it.

        `focus` is the id of the element to focus, `anchor` the fragment of the redirect.
        """
        path, anchor = f"/tickets/{ticket_id}", anchor or focus
        if not is_partial(self.request):
            return see_other(f"{path}#{anchor}" if anchor else path)
        response = self.ticket_page(ticket_id)
        if self._is_shown(ticket_id):
            response.headers["HX-Reswap"] = "outerMorph"
            # A card that polls is part of the page and needs no history entry.
            del response.headers["HX-Push-Url"]
        else:
            response.headers["HX-Reswap"] = "outerHTML show:top"
            response.headers["HX-Push-Url"] = path
        return announce(response, said, focus=focus, close_dialog=self._acted)

    def after_push(self, status: PushStatus) -> Response:
        """The ticket page, on which fields may have changed; only the card on other pages."""
        ticket_id = status.ticket.id
        card = f"push-card-{ticket_id}"
        focus = card if self._acted else ""
        if self._is_shown(ticket_id) or not is_partial(self.request):
            return self.done(ticket_id, status.outcome, focus=focus, anchor=card)
        response = fragment(self.request, "servicenow/push_card.html", status=status)
        return announce(response, status.outcome, focus=focus, close_dialog=self._acted)

    @property
    def _acted(self) -> bool:
        """Whether a person acted; a card that polls takes no focus."""
        return self.request.method == "POST"

    def _is_shown(self, ticket_id: int) -> bool:
        """Whether the browser shows this ticket's page, so that it is updated in place."""
        return is_partial(self.request) and shows(self.request, f"/tickets/{ticket_id}")

    def refused(
        self, ticket_id: int, problem: Invalid | Conflict, typed: Mapping[str, object]
    ) -> Response:
        """The page with the errors and the values entered; closes an open dialog."""
        response = self.ticket_page(ticket_id, problem=problem, typed=typed)
        response.headers["HX-Trigger"] = "modal:close"
        return response

    def revealed_page(self, ticket_id: int) -> Response:
        """The page with secrets shown, for this response only."""
        self.privacy.show_secrets(ticket_id, by=self.user)
        response = self.ticket_page(ticket_id, revealed=True)
        return announce(response, "Secrets are shown.", focus="secrets")

    def change(
        self, ticket_id: int, typed: Mapping[str, str | None], seen: str, *, form: str, said: str
    ) -> Response:
        """Save the changes of a form; `seen` is its basis.

        After a conflict, the form shows the current ticket with the person's changes.
        """
        basis = Basis.parse(seen)
        try:
            changes = checked(TicketChange, typed).changes()
            self.tickets.change(ticket_id, changes, by=self.user, basis=basis)
        except Conflict as exc:
            return self.refused(ticket_id, exc, basis.own(typed) | {"form": form})
        except Invalid as exc:
            return self.refused(ticket_id, exc, basis.own(typed) | {"form": form, "seen": seen})
        return self.done(ticket_id, said)


Desk = Annotated[TicketDesk, Depends()]
