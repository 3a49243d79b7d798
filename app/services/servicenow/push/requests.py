"""Updates requested by people and scripts. Every update goes through the outbox."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.db import (
    circuit_breaker,
    create_keys,
    duplicates,
    events,
    links,
    outbox,
    pauses,
    restores,
    suggestions,
    tickets,
)
from app.db.engine import reading, writing
from app.errors import Conflict, Invalid
from app.integrations.servicenow import mapping as mapping
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState, PushState, PushStatus, Rest
from app.models.tickets import EventKind, NotePush, Ticket, TicketEvent
from app.services.privacy import masked_event, masked_steps, masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Setup, checked_reason
from app.services.servicenow.push.delivery import Delivery, Outcome
from app.services.servicenow.push.held_creates import HELD

SAME_NOTE = timedelta(minutes=10)


class Pushes:
    """Queues updates. An outbox item is committed before the first call to the instance."""

    def __init__(self, setup: Setup, lookups: Lookups, delivery: Delivery) -> None:
        self._setup = setup
        self._lookups = lookups
        self._delivery = delivery

    # -- for the ticket service, inside its transactions --------------------------

    def groups(self) -> tuple[tuple[str, str], ...]:
        """Cached (sys_id, name) pairs of the assignment groups, without a call."""
        return self._lookups.known_choices("assignment_group")

    def owe_update(self, conn: Connection, ticket: Ticket, *, by: str) -> None:
        """Queue the changed fields of a linked ticket in the same transaction."""
        links.owe_update(conn, ticket, host=self._host_of(ticket), by=by, now=self._setup.now())

    def owe_note(self, conn: Connection, ticket: Ticket, note: TicketEvent, *, by: str) -> None:
        """Queue a note of a linked ticket in the same transaction."""
        host = self._host_of(ticket)
        links.owe_note(conn, ticket, note, host=host, by=by, now=self._setup.now())

    def wake(self) -> None:
        """Wake the worker, because an update is waiting."""
        self._setup.wake()

    # -- for people and scripts ----------------------------------------------------

    def status(self, ticket_id: int) -> PushStatus:
        """The sync status of a ticket, without a call. Raises NotFound."""
        return self._status(ticket_id)

    def create_from_ticket(
        self, ticket_id: int, *, by: str, assignment_group: str | None = None
    ) -> PushStatus:
        """Create one incident for this ticket, however often it is requested.

        Raises NotConfigured, NotFound, and Invalid for a group that the instance does not have. A
        failed delivery is a state of the result, not an error.
        """
        setup = self._setup
        setup.connected_client()
        known = {value for value, _ in self.groups()}
        if (
            assignment_group
            and known
            and assignment_group not in known | self._own_group(ticket_id)
        ):
            fields = {"assignment_group": "Choose an active assignment group."}
            raise Invalid("This assignment group does not exist in ServiceNow.", fields=fields)
        with writing(setup.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            item = None if ticket.linked else self._owe_create(conn, ticket, assignment_group, by)
        created = item is not None and self._delivery.try_now(item.id) is Outcome.SENT
        return self._status(ticket_id, created=created)

    def _own_group(self, ticket_id: int) -> set[str | None]:
        """Groups that the preview also offers, because the instance may no longer list them."""
        with reading(self._setup.engine) as conn:
            own = tickets.get(conn, ticket_id).assignment_group
        return {own, self._setup.defaults.assignment_group}

    def _owe_create(
        self, conn: Connection, ticket: Ticket, assignment_group: str | None, by: str
    ) -> OutboxItem:
        setup = self._setup
        owed = outbox.find_create(conn, ticket.id, ticket.sn_generation)
        if owed is not None:
            if owed.state is OutboxState.BLOCKED:
                outbox.revive(conn, owed.id, now=setup.now())
            return owed
        key = ticket.sn_key or links.renew_key(conn, ticket, now=setup.now())
        made = mapping.create_keys(setup.installation, key)
        return outbox.add(
            conn,
            ticket_id=ticket.id,
            generation=ticket.sn_generation,
            kind=OutboxKind.CREATE,
            sys_id=made.sys_id,
            correlation_id=made.correlation_id,
            assignment_group=assignment_group or None,
            host=setup.host,
            created_by=by,
            now=setup.now(),
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
        setup = self._setup
        setup.connected_client()
        if include_suggestions:
            setup.complete(ticket_id)
        with writing(setup.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if not ticket.linked or (sys_id is not None and sys_id != ticket.sn_sys_id):
                raise Conflict(f"Ticket {ticket_id} is not linked to this incident.")
            if include_suggestions:
                steps = suggestions.of_ticket(conn, ticket_id)
                parts = [work_note, mapping.suggestions_note(steps) if steps else ""]
                work_note = "\n\n".join(part for part in parts if part)
            if work_note.strip():
                self._note_once(conn, ticket, work_note.strip(), by=by)
            host = self._host_of(ticket)
            now = setup.now()
            items = [
                links.owe_update(conn, ticket, host=host, by=by, now=now),
                *(
                    links.owe_note(conn, ticket, note, host=host, by=by, now=now)
                    for note in events.unsent_notes(conn, ticket_id)
                ),
            ]
        self._pay(items)
        return self._status(ticket_id)

    def add_work_note(self, ticket_id: int, text: str, *, by: str) -> PushStatus:
        """Send one work note to the incident.

        Raises NotConfigured, NotFound, Invalid for an empty text, and Conflict if the ticket is not
        linked.
        """
        setup = self._setup
        setup.connected_client()
        if not text.strip():
            raise Invalid("Enter a work note.", fields={"work_note": "Enter some text."})
        with writing(setup.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if not ticket.linked:
                raise Conflict(f"Ticket {ticket_id} is not linked to an incident.")
            note = self._note_once(conn, ticket, text.strip(), by=by)
            host = self._host_of(ticket)
            item = links.owe_note(conn, ticket, note, host=host, by=by, now=setup.now())
        self._pay([item])
        return self._status(ticket_id)

    def _note_once(self, conn: Connection, ticket: Ticket, text: str, *, by: str) -> TicketEvent:
        """Add the note, or return the same note if it was added in the last 10 minutes."""
        now = self._setup.now()
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

    def _pay(self, items: list[OutboxItem]) -> None:
        for item in items:
            if self._delivery.try_now(item.id) is not Outcome.SENT:
                break
        self._setup.wake()

    def retry(
        self, item_id: int, *, by: str, close_code: str = "", none_found: bool = False
    ) -> PushStatus:
        """Deliver a waiting update now, with a close code of the instance if one is needed.

        `none_found`: a person searched for the incident of an unproven create and found none.
        """
        setup = self._setup
        with writing(setup.engine) as conn:
            item = outbox.get(conn, item_id)
            choices: outbox.Choices = {"close_code": close_code} if close_code else {}
            if none_found and self._send_anew(conn, item):
                told = "No incident was found in ServiceNow. The update is sent again."
                events.tell(conn, item.ticket_id, told, by=by, now=setup.now())
            elif outbox.revive(conn, item_id, now=setup.now(), **choices):
                told = "Retry requested."
                events.tell(conn, item.ticket_id, told, by=by, now=setup.now())
        self._delivery.try_now(item_id, probe=True)
        return self._status(item.ticket_id)

    def _send_anew(self, conn: Connection, item: OutboxItem) -> bool:
        """Requeue a create with new keys, so that no incident of the old keys is linked."""
        if not item.wants_proof:
            return False
        now = self._setup.now()
        old = mapping.own_key(self._setup.installation, item.correlation_id or "")
        create_keys.spend(conn, [old] if old else [], now=now)
        ticket = tickets.get(conn, item.ticket_id, for_update=True)
        fresh = links.renew_key(conn, ticket, now=now)
        made = mapping.create_keys(self._setup.installation, fresh)
        return outbox.send_anew(
            conn, item.id, sys_id=made.sys_id, correlation_id=made.correlation_id, now=now
        )

    def discard(self, item_id: int, reason: str, *, by: str) -> PushStatus:
        """Discard a waiting update. The reason is recorded in the timeline.

        Raises NotFound, Invalid without a reason, and Conflict for an update that is being sent or
        may have arrived, because its result must be checked first.
        """
        said = checked_reason(reason, "Enter a reason for discarding this update.")
        setup = self._setup
        with writing(setup.engine) as conn:
            item = outbox.get(conn, item_id)
            if not outbox.discard(conn, item_id, now=setup.now(), reason=said):
                raise Conflict(
                    "This update cannot be discarded. "
                    "It is being sent, may have arrived or is finished."
                )
            if item.event_id is not None:
                events.keep_here(conn, item.event_id)
            told = f"Update discarded ({item.kind.label}): {said}"
            events.tell(conn, item.ticket_id, told, by=by, now=setup.now())
        return self._status(item.ticket_id)

    def dismiss_notice(self, ticket_id: int, *, by: str) -> PushStatus:
        """Dismiss the warning about the incident. Raises NotFound."""
        with writing(self._setup.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            if ticket.sn_notice:
                tickets.annotate(conn, ticket, sn_notice=None)
                text = f"Warning about {ticket.sn_number} dismissed."
                events.tell(conn, ticket_id, text, by=by, now=self._setup.now())
        return self._status(ticket_id)

    def suggestions_note(self, ticket_id: int) -> str:
        """A work note made of the ticket's suggestions; empty if there are none."""
        self._setup.complete(ticket_id)
        with reading(self._setup.engine) as conn:
            steps = suggestions.of_ticket(conn, ticket_id)
        return mapping.suggestions_note(masked_steps(steps)) if steps else ""

    # -- internals -----------------------------------------------------------------------------

    def _host_of(self, ticket: Ticket) -> str:
        return ticket.sn_host or self._setup.host

    def _status(self, ticket_id: int, *, created: bool = False) -> PushStatus:
        with reading(self._setup.engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            items = outbox.of_ticket(conn, ticket_id)
            unsent = events.unsent_notes(conn, ticket_id) if ticket.linked else ()
            pause = pauses.find(conn, self._setup.host)
            twins = duplicates.of_ticket(conn, ticket_id)
            rest = circuit_breaker.find(conn, self._setup.host, now=self._setup.now())
            restore = restores.find(conn, self._setup.host)
        state = _state(ticket, items, held=restore is not None and restore.held)
        first = next(
            iter(sorted(items, key=lambda item: item.state is not OutboxState.BLOCKED)), None
        )
        blocked = first if first and first.state is OutboxState.BLOCKED else None
        wants_code = any(item.wants_close_code for item in items)
        return PushStatus(
            ticket=masked_ticket(ticket),
            state=state,
            url=self._setup.url_of(ticket.sn_sys_id),
            attempts=first.attempts if first else 0,
            next_try_at=_next_try(first, rest) if first and not blocked else None,
            error=HELD if state is PushState.HELD else first.error if first else None,
            items=items,
            created=created,
            unsent_notes=tuple(map(masked_event, unsent)),
            close_codes=self._lookups.known_choices("close_code") if wants_code else (),
            missing=self._setup.missing,
            read_only=self._setup.read_only,
            pause=pause,
            rest=rest,
            restore=restore,
            duplicates=twins,
        )


def _next_try(item: OutboxItem, rest: Rest | None) -> datetime:
    return max(item.not_before, rest.until) if rest else item.not_before


def _state(ticket: Ticket, items: tuple[OutboxItem, ...], *, held: bool) -> PushState:
    states = {item.state for item in items}
    if OutboxState.BLOCKED in states:
        return PushState.BLOCKED
    if held and any(item.kind is OutboxKind.CREATE for item in items):
        return PushState.HELD
    if OutboxState.UNCONFIRMED in states:
        return PushState.UNCONFIRMED
    if states:
        return PushState.OWED
    return PushState.LINKED if ticket.linked else PushState.NONE
