"""What one outbox item asks of the instance: create, update or note, each exactly once."""

import logging
from collections.abc import Mapping

from app.copilot.redact import masked
from app.db import events, links, outbox, suggestions, tickets
from app.db.engine import reading, writing
from app.errors import AnswerLost, Kind, ServiceNowError, ServiceNowRejected
from app.integrations import servicenow_mapping as mapping
from app.models import EventKind, OutboxItem, OutboxKind, OutboxState, Ticket, TicketEvent
from app.services.privacy import masked_steps, masked_ticket
from app.services.servicenow.certainty import link_of, refuse_if_too_early, write_ahead
from app.services.servicenow.lookups import Lookups
from app.services.servicenow.payload import Payloads
from app.services.servicenow.setup import Setup
from app.services.servicenow.updates import Updates

log = logging.getLogger("app.outbox")
JOURNAL = {EventKind.INTERNAL_NOTE: "work_notes", EventKind.COMMENT: "comments"}
Record = Mapping[str, str]


class Sending:
    """Sends a claimed item and records its success; every failure is raised."""

    def __init__(self, setup: Setup, lookups: Lookups) -> None:
        self._setup = setup
        self._lookups = lookups
        self._payloads = Payloads(setup, lookups)
        self._updates = Updates(setup, lookups, self._payloads)

    def send(self, item: OutboxItem) -> None:
        """Raises ServiceNowError, or NotYet when it is too early to send again."""
        with reading(self._setup.engine) as conn:
            ticket = tickets.get(conn, item.ticket_id)
        if item.host != self._setup.host:
            raise ServiceNowRejected(
                f"This belongs to {item.host}, and the app is now connected to {self._setup.host}.",
                kind=Kind.INVALID,
            )
        if item.kind is OutboxKind.CREATE:
            self._create(item, ticket)
        elif item.kind is OutboxKind.UPDATE:
            self._updates.send(item, ticket)
        else:
            self._note(item, ticket)

    # -- create ---------------------------------------------------------------------------

    def _create(self, item: OutboxItem, ticket: Ticket) -> None:
        record = self._find_created(item) if item.attempts > 1 else None
        if record is None:
            payload = self._create_payload(item, ticket)
            refuse_if_too_early(item, self._setup)
            write_ahead(item, self._setup, sent=links.values_of(ticket), theirs={})
            try:
                record = self._setup.connected_client().create_incident(
                    payload, fields=mapping.FIELDS
                )
            except AnswerLost as exc:
                record = self._look_up_or_raise(item, exc)
            except ServiceNowRejected as exc:
                # The instance refuses a second record with our sys_id: it may be ours.
                record = self._look_up_or_raise(item, exc)
        self._record_link(item, ticket, record)

    def _create_payload(self, item: OutboxItem, ticket: Ticket) -> dict[str, str]:
        assert item.sys_id is not None
        assert item.correlation_id is not None
        setup = self._setup
        with reading(setup.engine) as conn:
            steps = suggestions.of_ticket(conn, ticket.id)
        return mapping.create_payload(
            masked_ticket(ticket),
            maps=self._lookups.maps(),
            keys=mapping.CreateKeys(item.sys_id, item.correlation_id),
            suggestions=masked_steps(steps),
            people=self._lookups.people(ticket),
            assignment_group=item.assignment_group
            or ticket.assignment_group
            or setup.defaults.assignment_group,
            categories=[value for value, _ in self._lookups.choices("category")],
            close_code=self._payloads.close_code(item, ticket) if ticket.status.ended else None,
            link_back=setup.ticket_url(ticket.id),
        )

    def _look_up_or_raise(self, item: OutboxItem, cause: ServiceNowError) -> Record:
        try:
            found = self._find_created(item)
        except ServiceNowError as exc:
            raise cause from exc
        if found is None:
            raise cause
        return found

    def _find_created(self, item: OutboxItem) -> Record | None:
        """Our own incident, by its sys_id, else by its correlation id; the oldest of several."""
        assert item.sys_id is not None
        assert item.correlation_id is not None
        client = self._setup.connected_client()
        try:
            found = client.get_incident(item.sys_id, fields=mapping.FIELDS)
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.NOT_FOUND:
                raise
        else:
            if found.get("correlation_id", item.correlation_id) == item.correlation_id:
                return found
        carrying = client.find_incidents(
            "correlation_id", item.correlation_id, fields=mapping.FIELDS
        )
        if len(carrying) > 1:
            log.warning("several incidents carry the key of outbox item %s", item.id)
        return carrying[0] if carrying else None

    def _record_link(self, item: OutboxItem, ticket: Ticket, record: Record) -> None:
        setup = self._setup
        now = setup.now()
        maps = self._lookups.maps()
        sys_id, number = record["sys_id"], record.get("number", "")
        with writing(setup.engine) as conn:
            current = tickets.get(conn, ticket.id, for_update=True)
            if not outbox.settle(conn, item, OutboxState.DONE, settled_at=now, error=None):
                return
            # An incident found again holds what an earlier try sent, not what the ticket says now.
            sent = current.sn_agreed.get("sent") or links.values_of(ticket)
            links.link(
                conn,
                ticket.id,
                sys_id=sys_id,
                number=number,
                host=setup.host,
                ours=sent,
                theirs=mapping.ticket_values(record, maps),
                seen=mapping.seen_of(record),
                group_name=record.get("assignment_group.name", ""),
                now=now,
            )
            events.add(
                conn,
                ticket.id,
                EventKind.SERVICENOW,
                f"Incident {number} created in ServiceNow.{_priority_there(record, ticket, maps)}",
                author=item.created_by,
                internal=True,
                now=now,
            )
            theirs = record.get("state", "")
            state = maps.state_of_status[current.status]
            if links.values_of(current) != sent or (theirs and theirs != state):
                links.owe_update(conn, current, host=setup.host, by=item.created_by, now=now)

    # -- notes ----------------------------------------------------------------------------

    def _note(self, item: OutboxItem, ticket: Ticket) -> None:
        sys_id = link_of(ticket)
        assert item.event_id is not None
        with reading(self._setup.engine) as conn:
            note = events.get(conn, item.event_id)
        reference = mapping.note_reference(self._setup.installation, note.id)
        client = self._setup.connected_client()
        if item.attempts == 1 or not self._in_journal(sys_id, reference):
            refuse_if_too_early(item, self._setup)
            link_back = self._setup.ticket_url(ticket.id) if note.internal else ""
            text = mapping.note_text(masked(note.body), reference=reference, link_back=link_back)
            try:
                client.update_incident(sys_id, {JOURNAL[note.kind]: text})
            except AnswerLost as lost:
                self._find_or_raise(sys_id, reference, lost)
        self._record_sent(item, ticket, note)

    def _find_or_raise(self, sys_id: str, reference: str, lost: AnswerLost) -> None:
        """A look that fails must not hide that a write may be under way."""
        try:
            found = self._in_journal(sys_id, reference)
        except ServiceNowError as exc:
            raise lost from exc
        if not found:
            raise lost

    def _in_journal(self, sys_id: str, reference: str) -> bool:
        client = self._setup.connected_client()
        try:
            if any(reference in row.get("value", "") for row in client.journal(sys_id)):
                return True
        except ServiceNowRejected as exc:
            log.info("the journal table is closed to us: %s", exc.kind)
        # Closed to integrations it often just looks empty: the record itself shows its history.
        shown = client.display_journal(sys_id)
        return any(reference in text for text in shown.values())

    def _record_sent(self, item: OutboxItem, ticket: Ticket, note: TicketEvent) -> None:
        now = self._setup.now()
        with writing(self._setup.engine) as conn:
            if not outbox.settle(conn, item, OutboxState.DONE, settled_at=now, error=None):
                return
            links.confirm(conn, ticket.id, now=now)
            events.mark_pushed(conn, note.id, now=now)
            events.add(
                conn,
                ticket.id,
                EventKind.SERVICENOW,
                f"Note sent to {ticket.sn_number}.",
                author=item.created_by,
                internal=True,
                now=now,
            )


def _priority_there(record: Record, ticket: Ticket, maps: mapping.Maps) -> str:
    """What the instance computed from impact and urgency, where it is not what was sent."""
    theirs = record.get("priority", "")
    ours = maps.their_priority.get(ticket.effective_priority) if ticket.effective_priority else None
    if not theirs or theirs == ours:
        return ""
    return f" Its own rules made it {mapping.PRIORITY_LABELS.get(theirs, theirs)}."
