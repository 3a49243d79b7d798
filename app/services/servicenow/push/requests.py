"""Updates requested by people and scripts. Every update goes through the outbox."""

from datetime import timedelta

from sqlalchemy import Connection

from app.db import (
    events,
    links,
    outbox,
    suggestions,
    tickets,
)
from app.db.engine import reading, writing
from app.errors import Conflict, Invalid
from app.integrations.servicenow import mapping
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState, PushStatus
from app.models.tickets import EventKind, NotePush, Ticket, TicketEvent
from app.services.privacy import masked_steps
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.push.delivery import Delivery, DeliveryResult
from app.services.servicenow.push.status import push_status

SAME_NOTE = timedelta(minutes=10)


class PushRequests:
    """Queues updates. An outbox item is committed before the first call to the instance."""

    def __init__(self, context: Context, lookups: Lookups, delivery: Delivery) -> None:
        self._context = context
        self._lookups = lookups
        self._delivery = delivery

    # -- for the ticket service, inside its transactions --------------------------

    def groups(self) -> tuple[tuple[str, str], ...]:
        """Cached (sys_id, name) pairs of the assignment groups, without a call."""
        return self._lookups.known_choices("assignment_group")

    def enqueue_update(self, conn: Connection, ticket: Ticket, *, by: str) -> None:
        """Queue the changed fields of a linked ticket in the same transaction."""
        links.enqueue_update(
            conn, ticket, host=self._host_of(ticket), by=by, now=self._context.now()
        )

    def enqueue_note(self, conn: Connection, ticket: Ticket, note: TicketEvent, *, by: str) -> None:
        """Queue a note of a linked ticket in the same transaction."""
        host = self._host_of(ticket)
        links.enqueue_note(conn, ticket, note, host=host, by=by, now=self._context.now())

    def wake(self) -> None:
        """Wake the worker, because an update is waiting."""
        self._context.wake()

    # -- for people and scripts ----------------------------------------------------

    def status(self, ticket_id: int) -> PushStatus:
        """The sync status of a ticket, without a call. Raises NotFound."""
        return push_status(self._context, self._lookups, ticket_id)

    def create_from_ticket(
        self, ticket_id: int, *, by: str, assignment_group: str | None = None
    ) -> PushStatus:
        """Create one incident for this ticket, however often it is requested.

        Raises NotConfigured, NotFound, and Invalid for a group that the instance does not have. A
        failed delivery is a state of the result, not an error.
        """
        context = self._context
        context.connected_client()
        if assignment_group:
            self._ensure_known(assignment_group, ticket_id)
        with writing(context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            item = (
                None if ticket.linked else self._enqueue_create(conn, ticket, assignment_group, by)
            )
        created = item is not None and self._delivery.try_now(item.id) is DeliveryResult.SENT
        return push_status(self._context, self._lookups, ticket_id, created=created)

    def _ensure_known(self, assignment_group: str, ticket_id: int) -> None:
        known = {value for value, _ in self.groups()}
        if known and assignment_group not in known | self._own_group(ticket_id):
            fields = {"assignment_group": "Choose an active assignment group."}
            raise Invalid("This assignment group does not exist in ServiceNow.", fields=fields)

    def _own_group(self, ticket_id: int) -> set[str | None]:
        """Groups that the preview also offers, because the instance may no longer list them."""
        with reading(self._context.engine) as conn:
            own = tickets.get(conn, ticket_id).assignment_group
        return {own, self._context.defaults.assignment_group}

    def _enqueue_create(
        self, conn: Connection, ticket: Ticket, assignment_group: str | None, by: str
    ) -> OutboxItem:
        context = self._context
        waiting = outbox.find_create(conn, ticket.id, ticket.sn_generation)
        if waiting is not None:
            if waiting.state is OutboxState.BLOCKED:
                outbox.revive(conn, waiting.id, now=context.now())
            return waiting
        key = ticket.sn_key or links.renew_key(conn, ticket, now=context.now())
        made = mapping.create_keys(context.installation, key)
        return outbox.add(
            conn,
            ticket_id=ticket.id,
            generation=ticket.sn_generation,
            kind=OutboxKind.CREATE,
            sys_id=made.sys_id,
            correlation_id=made.correlation_id,
            assignment_group=assignment_group or None,
            host=context.host,
            created_by=by,
            now=context.now(),
        )

    def sync(
        self,
        ticket_id: int,
        *,
        by: str,
        sys_id: str | None = None,
        work_note: str = "",
        include_suggestions: bool = False,
    ) -> PushStatus:
        """Send the status, all unsent notes, and a work note if there is one.

        `sys_id`, if given, must be the linked incident. Raises NotConfigured, NotFound, and
        Conflict if the ticket is not linked to that incident.
        """
        context = self._context
        context.connected_client()
        if include_suggestions:
            context.complete(ticket_id)
        with writing(context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if not ticket.linked or (sys_id is not None and sys_id != ticket.sn_sys_id):
                raise Conflict(f"Ticket {ticket_id} is not linked to this incident.")
            if include_suggestions:
                steps = suggestions.of_ticket(conn, ticket_id)
                parts = [work_note, mapping.suggestions_note(masked_steps(steps)) if steps else ""]
                work_note = "\n\n".join(part for part in parts if part)
            if work_note.strip():
                self._note_once(conn, ticket, work_note.strip(), by=by)
            host = self._host_of(ticket)
            now = context.now()
            items = [
                links.enqueue_update(conn, ticket, host=host, by=by, now=now),
                *(
                    links.enqueue_note(conn, ticket, note, host=host, by=by, now=now)
                    for note in events.unsent_notes(conn, ticket_id)
                ),
            ]
        self._deliver_now(items)
        return push_status(self._context, self._lookups, ticket_id)

    def add_work_note(self, ticket_id: int, text: str, *, by: str) -> PushStatus:
        """Send one work note to the incident.

        Raises NotConfigured, NotFound, Invalid for an empty text, and Conflict if the ticket is not
        linked.
        """
        context = self._context
        context.connected_client()
        if not text.strip():
            raise Invalid("Enter a work note.", fields={"work_note": "Enter some text."})
        with writing(context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if not ticket.linked:
                raise Conflict(f"Ticket {ticket_id} is not linked to an incident.")
            note = self._note_once(conn, ticket, text.strip(), by=by)
            host = self._host_of(ticket)
            item = links.enqueue_note(conn, ticket, note, host=host, by=by, now=context.now())
        self._deliver_now([item])
        return push_status(self._context, self._lookups, ticket_id)

    def _note_once(self, conn: Connection, ticket: Ticket, text: str, *, by: str) -> TicketEvent:
        """Add the note, or return the same note if it was added in the last 10 minutes."""
        now = self._context.now()
        kind, since = EventKind.INTERNAL_NOTE, now - SAME_NOTE
        same = events.find_note(conn, ticket.id, kind, author=by, body=text, since=since)
        suggestions.count_used(conn, ticket.id, text, way="work note", now=now)
        return same or events.add(
            conn,
            ticket.id,
            kind,
            text,
            author=by,
            internal=True,
            now=now,
            push=NotePush.NOW,
        )

    def _deliver_now(self, items: list[OutboxItem]) -> None:
        for item in items:
            if self._delivery.try_now(item.id) is not DeliveryResult.SENT:
                break
        self._context.wake()

    def dismiss_notice(self, ticket_id: int, *, by: str) -> PushStatus:
        """Dismiss the warning about the incident. Raises NotFound."""
        with writing(self._context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if ticket.sn_notice:
                tickets.annotate(conn, ticket, sn_notice=None)
                text = f"Warning about {ticket.sn_number} dismissed."
                events.add_event(conn, ticket_id, text, by=by, now=self._context.now())
        return push_status(self._context, self._lookups, ticket_id)

    def suggestions_note(self, ticket_id: int) -> str:
        """A work note made of the ticket's suggestions; empty if there are none."""
        self._context.complete(ticket_id)
        with reading(self._context.engine) as conn:
            steps = suggestions.of_ticket(conn, ticket_id)
        return mapping.suggestions_note(masked_steps(steps)) if steps else ""

    # -- internals -----------------------------------------------------------------------------

    def _host_of(self, ticket: Ticket) -> str:
        return ticket.sn_host or self._context.host
