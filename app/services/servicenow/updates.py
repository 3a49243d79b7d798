"""Bringing one incident up to its ticket: read, compare, send what differs, look at the echo."""

from collections.abc import Mapping

from app.db import events, links, outbox
from app.db.engine import writing
from app.errors import Kind, ServiceNowRejected
from app.integrations import servicenow_mapping as mapping
from app.models import EventKind, OutboxItem, OutboxState, Ticket
from app.services.privacy import masked_ticket
from app.services.servicenow.certainty import link_of, refuse_if_too_early
from app.services.servicenow.lookups import Lookups
from app.services.servicenow.setup import Setup

STATUS_FIELDS = ("status", "resolution_code", "resolution_notes")
Record = Mapping[str, str]


class Updates:
    """Sends what the outbox owes of a linked ticket's own fields."""

    def __init__(self, setup: Setup, lookups: Lookups) -> None:
        self._setup = setup
        self._lookups = lookups

    def send(self, item: OutboxItem, ticket: Ticket) -> None:
        """Raises ServiceNowError, or NotYet when it is too early to send again."""
        sys_id = link_of(ticket)
        maps = self._lookups.maps()
        client = self._setup.connected_client()
        record = client.get_incident(sys_id, fields=mapping.FIELDS)
        wanted = maps.state_of_status[ticket.status]
        if record.get("state") != wanted:
            self._refuse_reopening(record, ticket)
            refuse_if_too_early(item, self._setup)
            code = self.close_code(item, ticket) if ticket.status.ended else None
            record = client.update_incident(
                sys_id, mapping.state_fields(masked_ticket(ticket), code, maps)
            )
            self._check_echo(record, wanted)
        self._record_success(item, ticket, record)

    def _refuse_reopening(self, record: Record, ticket: Ticket) -> None:
        state = record.get("state")
        if state in (mapping.CLOSED, mapping.CANCELED) and not ticket.status.ended:
            raise ServiceNowRejected(
                f"{record.get('number')} is {mapping.STATE_LABELS[state].lower()} in ServiceNow "
                "and cannot be reopened there. Undo the link and create a new incident.",
                kind=Kind.INVALID,
            )

    def _check_echo(self, record: Record, wanted: str) -> None:
        kept = record.get("state", wanted)
        if kept != wanted:
            label = mapping.STATE_LABELS.get(kept, kept)
            raise ServiceNowRejected(
                f"ServiceNow took the change but the incident is {label}. "
                "A rule of the instance may have changed it back.",
                kind=Kind.INVALID,
            )

    def close_code(self, item: OutboxItem, ticket: Ticket) -> str:
        """The instance's code for the ticket's. Raises ServiceNowRejected when none fits."""
        wanted = item.close_code or ticket.resolution_code
        known = self._lookups.choices("close_code")
        code = mapping.close_code_of(wanted, known, self._setup.defaults.close_code)
        if code is None:
            raise ServiceNowRejected(
                f"The resolution code “{wanted or ''}” is not one of the instance's. "
                "Choose one of them.",
                kind=Kind.INVALID,
            )
        return code

    def _record_success(self, item: OutboxItem, ticket: Ticket, record: Record) -> None:
        now = self._setup.now()
        theirs = mapping.ticket_values(record, self._lookups.maps())
        with writing(self._setup.engine) as conn:
            if not outbox.settle(conn, item, OutboxState.DONE, settled_at=now, error=None):
                return
            links.confirm(conn, ticket.id, now=now)
            links.agree(conn, ticket, theirs=theirs, names=STATUS_FIELDS)
            events.add(
                conn,
                ticket.id,
                EventKind.SERVICENOW,
                f"Status “{ticket.status.label}” sent to {ticket.sn_number}.",
                author=item.created_by,
                internal=True,
                now=now,
            )
