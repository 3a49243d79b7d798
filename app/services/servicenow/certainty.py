"""When a write may go out: the ticket is linked, and no earlier try may still be on its way."""

from app.db import outbox
from app.db.engine import reading
from app.errors import Kind, ServiceNowRejected
from app.models import OutboxItem, Ticket
from app.services.servicenow.setup import Setup


class NotYet(Exception):
    """A write whose end is unknown was not found, and it is too early to send it again."""


def refuse_if_too_early(item: OutboxItem, setup: Setup) -> None:
    """The last look before a write.

    Raises NotYet before the settle time of an attempt whose answer was lost, and when this one
    took so long that its lease is over and another process has gone on with the push.
    """
    if item.unconfirmed_since and setup.now() < item.unconfirmed_since + setup.settle:
        raise NotYet("The last answer was lost; it is being checked before sending again.")
    with reading(setup.engine) as conn:
        if not outbox.is_ours(conn, item):
            raise NotYet("This took too long; another process goes on with it.")


def link_of(ticket: Ticket) -> str:
    """The sys_id of the ticket's incident. Raises ServiceNowRejected when there is none."""
    if ticket.sn_sys_id is None:
        raise ServiceNowRejected(
            "The ticket is not linked to an incident any more.", kind=Kind.INVALID
        )
    return ticket.sn_sys_id
