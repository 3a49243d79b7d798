"""A linked ticket and its incident, to be edited on both sides."""

import time

from app.models.tickets import Ticket
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from app.simulator.base import sys_id_of
from tests.desk import Desk

NETWORK = sys_id_of("sys_user_group", "Network")
HARDWARE = sys_id_of("sys_user_group", "Hardware")
BETH = sys_id_of("sys_user", "beth.anglin")


def settled(service: ServiceNowService, ticket_id: int) -> Ticket:
    """The ticket when nothing of it is on its way: a live worker may be faster than a click."""
    until = time.monotonic() + 10
    while (status := service.push.status(ticket_id)).sending:
        assert time.monotonic() < until, "it was not sent in time"
        time.sleep(0.02)
    return status.ticket


class BothSides:
    """The agent is known there too, and the groups were read."""

    def __init__(self, desk: Desk, instance: Instance) -> None:
        self.desk = desk
        self.instance = instance
        self.service: ServiceNowService = desk.services.servicenow
        self.instance.add_user(name="Dana Desk", email=desk.user.email)
        made = desk.ticket(subject="Mail is down", priority="high", category="network")
        self.service.previews.of(made.id)
        self.service.push.create_from_ticket(made.id, by=desk.user.email, assignment_group=NETWORK)
        linked = settled(self.service, made.id)
        self.id = linked.id
        self.number = str(linked.sn_number)
        self.sys_id = str(linked.sn_sys_id)

    @property
    def ticket(self) -> Ticket:
        found: Ticket = self.desk.services.tickets.get(self.id, self.desk.user)
        return found

    @property
    def incident(self) -> dict[str, str]:
        return self.instance.incidents[self.sys_id]

    def here(self, **changes: str | None) -> None:
        """The agent changes the ticket."""
        self.desk.services.tickets.change(self.id, changes, by=self.desk.user)

    def there(self, *, by: str = "beth.anglin", **fields: str) -> None:
        """Somebody changes the incident."""
        self.instance.edit(self.sys_id, by=by, **fields)

    def told(self) -> str:
        """The timeline as agents read it."""
        detail = self.desk.services.tickets.detail(self.id, self.desk.user)
        return "\n".join(event.text for event in detail.events)

    def patches(self) -> int:
        """How many writes the instance has seen."""
        return sum(request["method"] == "PATCH" for request in self.instance.requests)
