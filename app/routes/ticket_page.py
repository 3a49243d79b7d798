"""The page of one ticket: what every form on it comes back to."""

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
    """What a ticket's page is made of, before it is known for whom."""

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
    """A ticket's page for its viewer; its forms come back to it when they cannot be used."""

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
            status=self.servicenow.pushes.status(ticket_id) if agent else None,
            card=self.servicenow.conflicts.of(ticket_id) if agent else None,
            categories=self.copilot.categories(),
            resting=self.copilot.rests_on() if agent else "",
            agents=self.tickets.agents() if agent else (),
            groups=self.servicenow.pushes.groups() if agent else (),
            codes=RESOLUTION_CODES,
            problem=problem,
            errors=problem.fields if problem else {},
            typed=typed or {},
            notice=notice,
        )

    def done(self, ticket_id: int, said: str, *, focus: str = "", anchor: str = "") -> Response:
        """The answer to a change that worked: the ticket's page, in place where it is shown.

        `focus` and `anchor` are ids: what gets the focus there, and where a redirect leads.
        """
        path, anchor = f"/tickets/{ticket_id}", anchor or focus
        if not is_partial(self.request):
            return see_other(f"{path}#{anchor}" if anchor else path)
        response = self.ticket_page(ticket_id)
        if self._is_shown(ticket_id):
            response.headers["HX-Reswap"] = "outerMorph"
            # A card that asks for itself is part of the page: that is no new place.
            del response.headers["HX-Push-Url"]
        else:
            response.headers["HX-Reswap"] = "outerHTML show:top"
            response.headers["HX-Push-Url"] = path
        return announce(response, said, focus=focus, close_dialog=self._acted)

    def after_push(self, status: PushStatus) -> Response:
        """The ticket's page, which may have taken over fields; the card alone for other pages."""
        ticket_id = status.ticket.id
        card = f"push-card-{ticket_id}"
        focus = card if self._acted else ""
        if self._is_shown(ticket_id) or not is_partial(self.request):
            return self.done(ticket_id, status.outcome, focus=focus, anchor=card)
        response = fragment(self.request, "servicenow/push_card.html", status=status)
        return announce(response, status.outcome, focus=focus, close_dialog=self._acted)

    @property
    def _acted(self) -> bool:
        """A person did something; a card that asks for itself takes no focus."""
        return self.request.method == "POST"

    def _is_shown(self, ticket_id: int) -> bool:
        """Whether the page of this ticket is in the browser that asks, to be changed in place."""
        return is_partial(self.request) and shows(self.request, f"/tickets/{ticket_id}")

    def refused(
        self, ticket_id: int, problem: Invalid | Conflict, typed: Mapping[str, object]
    ) -> Response:
        """The page with what is wrong and what was typed; a dialog makes way for it."""
        response = self.ticket_page(ticket_id, problem=problem, typed=typed)
        response.headers["HX-Trigger"] = "modal:close"
        return response

    def revealed_page(self, ticket_id: int) -> Response:
        """The ticket as it was written, for this one look."""
        self.privacy.reveal(ticket_id, by=self.user)
        response = self.ticket_page(ticket_id, revealed=True)
        return announce(response, "Hidden text is shown.", focus="secrets")

    def change(
        self, ticket_id: int, typed: Mapping[str, str | None], seen: str, *, form: str, said: str
    ) -> Response:
        """Save what was changed in a form; `seen` is what it was filled from.

        A form that comes back shows the ticket as it is now, under what the person changed.
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
