"""One attempt to deliver an outbox item."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from app.db.connection_state import ConnectionState
from app.errors import ServiceNowError
from app.integrations.servicenow.mapping import Maps
from app.models.servicenow import OutboxItem
from app.models.tickets import Ticket

# Writes the result of the calls inside the settling transaction. Returns the error that a person
# must resolve, if any.
Settle = Callable[[Connection], ServiceNowError | None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """The claimed item, and what was read in the transaction that claimed it."""

    item: OutboxItem
    ticket: Ticket
    maps: Maps
    connection: ConnectionState
