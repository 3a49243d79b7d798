"""Cancel a duplicate incident of a ticket in ServiceNow, on request."""

from app.db import duplicates, events, outbox, tickets
from app.db.engine import reading, writing
from app.errors import Conflict, Kind, NotFound, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.servicenow import Duplicate
from app.models.tickets import Ticket
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context

FIELDS = (*mapping.FIELDS, "correlation_display")


class Duplicates:
    """Cancels only the recorded duplicate, and only if it has the ticket's correlation ID."""

    def __init__(self, context: Context, connection: ConnectionStatus) -> None:
        self._context = context
        self._connection = connection

    def cancel(self, ticket_id: int, sys_id: str, *, by: str) -> None:
        """Cancel the duplicate in ServiceNow. If it is already canceled there, only record it.

        Raises NotConfigured, NotFound, Conflict if the record must not be canceled, and
        ServiceNowError. Repeating the call is safe.
        """
        context = self._context
        client = context.connected_client()
        if context.read_only:
            raise Conflict("The connection is read-only. Cancel the incident in ServiceNow.")
        ticket, duplicate = self._find(ticket_id, sys_id)
        with self._connection.watch(), client.click():
            record = client.get_incident(sys_id, fields=FIELDS)
            self._refuse_foreign(record, ticket)
            if record.get("state") != mapping.CANCELED:
                said = f"Duplicate of {ticket.sn_number}."
                payload = {"state": mapping.CANCELED, "close_notes": said}
                record = client.update_incident(sys_id, payload, fields=FIELDS)
        if record.get("state") != mapping.CANCELED:
            raise ServiceNowRejected(
                f"ServiceNow accepted the change, but {duplicate.number} is not canceled. "
                "A business rule may need more data. Cancel it in ServiceNow.",
                kind=Kind.INVALID,
            )
        self._record(ticket, duplicate, by=by)

    def _find(self, ticket_id: int, sys_id: str) -> tuple[Ticket, Duplicate]:
        with reading(self._context.engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            known = duplicates.of_ticket(conn, ticket_id)
        duplicate = next((one for one in known if one.sys_id == sys_id), None)
        if duplicate is None:
            raise NotFound("This incident is not a known duplicate of the ticket.")
        if duplicate.host != self._context.host:
            raise Conflict(f"{duplicate.number} is on {duplicate.host}. Cancel it there.")
        return ticket, duplicate

    def _refuse_foreign(self, record: mapping.Record, ticket: Ticket) -> None:
        with reading(self._context.engine) as conn:
            made_by = outbox.find_create(conn, ticket.id, ticket.sn_generation)
        ours = made_by is not None and record.get("correlation_id") == made_by.correlation_id
        if not ours or record.get("correlation_display", mapping.DISPLAY) != mapping.DISPLAY:
            raise Conflict(
                f"{record.get('number')} no longer has this ticket's correlation ID. "
                "Nothing was changed. Check the incident in ServiceNow."
            )
        if record["sys_id"] == ticket.sn_sys_id:
            raise Conflict("The ticket is linked to this incident. Unlink it first.")

    def _record(self, ticket: Ticket, duplicate: Duplicate, *, by: str) -> None:
        now = self._context.now()
        with writing(self._context.engine) as conn:
            if not duplicates.cancel(conn, duplicate.sys_id, by=by, now=now):
                return
            told = f"Duplicate {duplicate.number} canceled in ServiceNow."
            events.add_event(conn, ticket.id, told, by=by, now=now)
