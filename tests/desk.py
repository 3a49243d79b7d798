"""A short way for tests to do what agents do."""

from fastapi import FastAPI

from app.models.accounts import Role, User
from app.models.tickets import NewTicket, Ticket, TicketEvent, TicketStatus
from app.simulator.base import sys_id_of

CODE = "Solution provided"
NOTES = "Turned it off and on again."


class Desk:
    """Tickets through the real services, as an agent of the app under test."""

    def __init__(self, app: FastAPI) -> None:
        self.services = app.state.services
        self.user: User = self.services.accounts.invite_user(
            "desk@example.com", Role.AGENT, name="Dana Desk"
        )[0]

    def ticket(
        self,
        subject: str = "The printer is on fire",
        description: str = "It smells",
        requester: str = "abel.tuter@example.com",
        priority: str | None = None,
        category: str | None = None,
        status: str = "open",
    ) -> Ticket:
        wanted = NewTicket(subject, description, requester, priority, category)
        ticket: Ticket = self.services.tickets.create(wanted, by=self.user)[0]
        if status == "open":
            return ticket
        return self.set_status(ticket.id, TicketStatus(status))

    def set_status(
        self, ticket_id: int, status: TicketStatus, *, code: str = CODE, notes: str = NOTES
    ) -> Ticket:
        changes: dict[str, str] = {"status": status}
        if status.ended:
            changes |= {"resolution_code": code, "resolution_notes": notes}
        changed: Ticket = self.services.tickets.change(ticket_id, changes, by=self.user)
        return changed

    def note(
        self, ticket_id: int, text: str, *, internal: bool, push: bool | None = None
    ) -> TicketEvent:
        note: TicketEvent = self.services.tickets.add_note(
            ticket_id, text, internal=internal, by=self.user, push=push
        )
        return note

    def notes(self, ticket_id: int) -> list[TicketEvent]:
        events = self.services.tickets.detail(ticket_id, self.user).events
        return [event for event in events if event.push is not None]

    def their_user(self, email: str) -> str:
        """The sys_id of one of the instance's base users."""
        return sys_id_of("sys_user", email.split("@")[0])
