"""Send guards: the ticket is linked, and no earlier attempt can still arrive."""

from datetime import datetime

from app.db import outbox, tickets
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow.call_listeners import latest_date
from app.models.conflicts import Values
from app.models.servicenow import OutboxItem
from app.models.tickets import Ticket
from app.services.servicenow.context import Context

LEASE_LOST = "This took too long. Another process is handling it."


class TooEarly(Exception):
    """It is too early to send again a write whose result is unknown."""


def ensure_settled(item: OutboxItem, context: Context) -> None:
    """Raises TooEarly before the settle time of an attempt whose response was lost."""
    if item.unconfirmed_since and context.now() < item.unconfirmed_since + context.settle:
        raise TooEarly("ServiceNow's last response was lost. The app checks the result first.")


def ensure_may_send(item: OutboxItem, context: Context) -> None:
    """As `ensure_settled`, and the last check before a write without `write_ahead`.

    Raises TooEarly also if another process has taken over the item because the lease of this one
    expired.
    """
    ensure_settled(item, context)
    with reading(context.engine) as conn:
        if not outbox.is_ours(conn, item):
            raise TooEarly(LEASE_LOST)


def write_ahead(
    item: OutboxItem, context: Context, *, sent: Values, theirs: Values, read: Values
) -> None:
    """Record on the ticket what is about to be sent, to recognize it in incoming changes.

    `theirs` are the values read just before, `read` the raw fields that are about to be written.
    Raises TooEarly if another process has taken over the item.
    """
    with writing(context.engine) as conn:
        ticket = tickets.get(conn, item.ticket_id, for_update=True)
        if not outbox.note_sending(conn, item, at=their_time(context)):
            raise TooEarly(LEASE_LOST)
        agreed = {
            **mapping.recognised(ticket.sn_agreed, theirs),
            "sent": dict(sent),
            "read": dict(read),
        }
        tickets.annotate(conn, ticket, sn_agreed=agreed)


def write_ahead_of_create(
    item: OutboxItem, context: Context, *, sent: Values, said: Values
) -> None:
    """As `write_ahead` for a create. `said` are the values of the incident as it is sent."""
    with writing(context.engine) as conn:
        ticket = tickets.get(conn, item.ticket_id, for_update=True)
        if not outbox.note_sending(conn, item, at=their_time(context)):
            raise TooEarly(LEASE_LOST)
        before = ticket.sn_agreed
        earlier = {**before.get("earlier", {}), **before.get("theirs", {})}
        agreed = {"ours": {}, "theirs": dict(said), "sent": dict(sent), "earlier": earlier}
        tickets.annotate(conn, ticket, sn_agreed=agreed)


def their_time(context: Context) -> datetime:
    """The instance's time in the last response of this delivery, else the local time."""
    return latest_date() or context.now()


def link_of(ticket: Ticket) -> str:
    """The sys_id of the ticket's incident. Raises ServiceNowRejected if it is not linked."""
    if ticket.sn_sys_id is None:
        raise ServiceNowRejected(
            "The ticket is no longer linked to an incident.", kind=Kind.NOT_LINKED
        )
    return ticket.sn_sys_id
