"""Link a ticket to an existing incident, and unlink it."""

from sqlalchemy import Connection as DbConnection
from sqlalchemy.exc import IntegrityError

from app.db import connection_switches, events, links, outbox, tickets
from app.db.engine import writing
from app.errors import Conflict, Invalid, NotFound
from app.integrations.servicenow import mapping
from app.integrations.servicenow.call_listeners import listening
from app.models.servicenow import OutboxItem, OutboxState
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context, checked_reason
from app.services.servicenow.merge.reconcile import reconcile, write
from app.services.servicenow.sync_history import SyncHistory


class Linking:
    """Links and unlinks tickets. Waiting updates of the old link are discarded with the reason."""

    def __init__(self, context: Context, lookups: Lookups, history: SyncHistory) -> None:
        self._context = context
        self._history = history
        self._lookups = lookups

    def link(self, ticket_id: int, number: str, *, by: str) -> None:
        """Link the ticket to the incident with this number. One call to the instance.

        Raises NotConfigured, NotFound, Conflict, Invalid and ServiceNowError.
        """
        client = self._context.connected_client()
        wanted = number.strip().upper()
        if not wanted or len(wanted) > 40:
            raise Invalid(
                "Enter an incident number.", fields={"number": "Enter a number such as INC0010042."}
            )
        with listening() as calls, client.click():
            found = client.find_incidents("number", wanted, fields=mapping.FIELDS)
        if not found:
            raise NotFound(f"{wanted} was not found, or the integration account cannot see it.")
        if len(found) > 1:
            raise Conflict(f"Several incidents have the number {wanted}. No incident was linked.")
        maps = self._lookups.maps()
        try:
            with writing(self._context.engine) as conn:
                self._tie(conn, ticket_id, found[0], maps, by=by)
                self._compare(conn, ticket_id, found[0], maps, by=by)
                self._history.add_link(conn, ticket_id, number=wanted, by=by, calls=calls)
        except IntegrityError as exc:
            raise Conflict(f"{wanted} is already linked to another ticket.") from exc
        self._context.wake()

    def _tie(
        self,
        conn: DbConnection,
        ticket_id: int,
        record: mapping.Record,
        maps: mapping.Maps,
        *,
        by: str,
    ) -> None:
        context = self._context
        number = record["number"]
        ticket = tickets.get(conn, ticket_id, for_update=True)
        if ticket.linked:
            raise Conflict(f"Ticket {ticket_id} is already linked to {ticket.sn_number}.")
        item = outbox.find_create(conn, ticket.id, ticket.sn_generation)
        if item:
            self._refuse_unless_given_up(item, record)
        if other := links.ticket_of(conn, record["sys_id"]):
            raise Conflict(f"{number} is already linked to ticket {other}.")
        reason = f"Linked to {number} instead."
        outbox.discard_waiting(conn, ticket.id, now=context.now(), reason=reason)
        ours, theirs = links.values_of(ticket), mapping.ticket_values(record, maps)
        agreed = mapping.agreed_at_first(ours, theirs, record)
        links.link(
            conn,
            ticket.id,
            sys_id=record["sys_id"],
            number=number,
            host=context.host,
            ours={name: ours[name] for name in agreed},
            theirs={name: theirs[name] for name in agreed if name in theirs},
            seen=mapping.seen_of(record),
            now=context.now(),
        )
        events.add_event(conn, ticket.id, f"Linked to incident {number}.", by=by, now=context.now())

    def _compare(
        self,
        conn: DbConnection,
        ticket_id: int,
        record: mapping.Record,
        maps: mapping.Maps,
        *,
        by: str,
    ) -> None:
        """Copy values that only one side has. Values that differ become conflicts."""
        context = self._context
        ticket = tickets.get(conn, ticket_id)
        pulling = connection_switches.pulling(conn, context.host)
        found = reconcile(ticket, record, maps=maps, pulling=pulling, now=context.now())
        after = write(conn, ticket, found, now=context.now())
        if found.verdict.send:
            links.enqueue_update(conn, after, host=context.host, by=by, now=context.now())
        links.enqueue_waiting_notes(conn, after, host=context.host, now=context.now())

    def _refuse_unless_given_up(self, item: OutboxItem, record: mapping.Record) -> None:
        """Raise Conflict if the waiting create may have created a different incident.

        It may be dropped if it created nothing, if it created this record, or if only a person can
        tell what it created.
        """
        if item.state is not OutboxState.BLOCKED:
            raise Conflict(
                "An incident is being created for this ticket. Wait until it is finished."
            )
        its_own = item.correlation_id == record.get("correlation_id")
        known = its_own or item.wants_proof
        if item.unconfirmed_since and item.host == self._context.host and not known:
            raise Conflict(
                "An incident may already exist for this ticket. "
                "Press Retry now to check, or link that incident."
            )

    def unlink(self, ticket_id: int, reason: str, *, by: str) -> None:
        """Unlink the ticket. The next create makes a new incident.

        Raises NotFound, Invalid without a reason, and Conflict while an update is being sent.
        """
        context = self._context
        reason = checked_reason(reason, "Enter a reason for unlinking.")
        with writing(context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if not ticket.linked:
                raise Conflict(f"Ticket {ticket_id} is not linked.")
            items = outbox.of_ticket(conn, ticket_id)
            if any(item.state is OutboxState.SENDING for item in items):
                raise Conflict("An update is being sent. Try again in a moment.")
            outbox.discard_waiting(conn, ticket_id, now=context.now(), reason=reason)
            links.unlink(conn, ticket, now=context.now())
            told = f"Unlinked from {ticket.sn_number}: {reason}"
            events.add_event(conn, ticket_id, told, by=by, now=context.now())
