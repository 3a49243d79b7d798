"""Update one incident from its ticket: read, compare, send the differences, check the response."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection as DbConnection

from app.db import events, links, outbox, tickets
from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.conflicts import RESOLUTION, SYNCED
from app.models.tickets import Ticket, label_of
from app.services.privacy import masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.merge.reconcile import (
    agreeing,
    is_late,
    is_turned_back,
    reconcile,
    shown,
    turned_back_told,
    write,
)
from app.services.servicenow.push.attempt import Attempt, Settle
from app.services.servicenow.push.concurrent_edits import (
    ConcurrentEdit,
    ConcurrentEdits,
    read_of,
    written_since,
)
from app.services.servicenow.push.guards import ensure_settled, link_of, write_ahead
from app.services.servicenow.push.payload import Payload, Payloads

Record = Mapping[str, str]


class UpdatePush:
    """Sends the fields of linked tickets.

    The current values are sent, not those at the time of queueing, and the updates of a ticket are
    sent one after the other. So an older state never follows a newer one.
    """

    def __init__(self, context: Context, lookups: Lookups, payloads: Payloads) -> None:
        self._context = context
        self._payloads = payloads
        self._overlaps = ConcurrentEdits(context, lookups)

    def send(self, attempt: Attempt) -> Settle:
        """Send the differences. Returns how to record them.

        Raises ServiceNowError, or TooEarly if it is too early. A field that both sides changed is
        not sent. After the other fields are sent, the update is blocked with the kind `conflict`.
        """
        item, ticket = attempt.item, attempt.ticket
        sys_id = link_of(ticket)
        client = self._context.connected_client()
        record = client.get_incident(sys_id, fields=mapping.FIELDS)
        theirs = mapping.ticket_values(record, attempt.maps)
        verdict = mapping.merge(ticket.sn_agreed, links.values_of(ticket), theirs)
        if "status" in verdict.send:
            _refuse_reopening(record, ticket)
        payload = self._payloads.of(item, masked_ticket(ticket), verdict, record=record)
        before, overlap = record, None
        if payload.fields or not verdict.settled:
            # A lost write that left no trace may still arrive.
            ensure_settled(item, self._context)
        if payload.fields:
            ours = links.values_of(ticket)
            sent = {name: ours[name] for name in verdict.send}
            read = read_of(before, payload.fields)
            write_ahead(item, self._context, sent=sent, theirs=theirs, read=read)
            record = client.update_incident(sys_id, payload.fields, fields=mapping.FIELDS)
            overlap = self._overlaps.after(before, record, payload.fields)
        elif kept := ticket.sn_agreed.get("read"):
            # An earlier write, whose response was lost, may have arrived.
            lost = {name: value or "" for name, value in kept.items()}
            overlap = self._overlaps.after(lost, record, written_since(lost, record))
        turned_back = is_turned_back(mapping.seen_of(before), ticket, theirs)
        sent_now = _Sent(verdict, payload, before, turned_back, overlap)
        return lambda conn: self._record(conn, attempt, record, sent=sent_now)

    def _record(
        self, conn: DbConnection, attempt: Attempt, record: Record, *, sent: "_Sent"
    ) -> ServiceNowRejected | None:
        """Store the synced values. Returns the error that a person must resolve, if any."""
        now, item, ticket = self._context.now(), attempt.item, attempt.ticket
        current = tickets.get(conn, ticket.id, for_update=True)
        if not outbox.is_ours(conn, item):
            return None
        agreed = self._agree(conn, current, attempt, record, sent)
        if sent.turned_back:
            events.add_event(conn, ticket.id, turned_back_told(ticket), now=now)
        overlap = sent.overlap or ConcurrentEdit(record)
        after = self._compare(conn, agreed, overlap, sent, attempt=attempt)
        trouble = sent.trouble(record, after)
        if not trouble:
            outbox.finish(conn, item, now=now)
            links.confirm(conn, ticket.id, now=now)
        if told := sent.told(record, ticket, in_step=not trouble):
            events.add_event(conn, ticket.id, told, now=now, by=item.created_by)
        return trouble

    def _agree(
        self, conn: DbConnection, current: Ticket, attempt: Attempt, record: Record, sent: "_Sent"
    ) -> Ticket:
        """The ticket with the sent values marked as synced. A late response changes nothing."""
        ticket = attempt.ticket
        seen = mapping.seen_of(record)
        if is_late(seen, current, ticket.sn_agreed.get("seen", {})):
            return current
        theirs = mapping.ticket_values(record, attempt.maps)
        values = agreeing(
            mapping.recognised(current.sn_agreed, theirs),
            ours=links.values_of(ticket),
            theirs=theirs,
            names=sent.agreed_by(record),
            seen=seen,
        )
        return tickets.annotate(conn, current, sn_agreed=values)

    def _compare(
        self,
        conn: DbConnection,
        ticket: Ticket,
        overlap: ConcurrentEdit,
        sent: "_Sent",
        *,
        attempt: Attempt,
    ) -> Ticket:
        """Merge the fields that were not sent, and warn of overwritten values."""
        now = self._context.now()
        found = reconcile(
            ticket,
            overlap.record,
            maps=attempt.maps,
            pulling=attempt.connection.pulling,
            now=now,
            before=sent.before,
            overwritten=overlap.overwritten,
        )
        after = write(conn, ticket, found, now=now)
        warning = overlap.told(ticket.sn_number)
        if not warning:
            return after
        events.add_event(conn, ticket.id, warning, now=now)
        return tickets.annotate(conn, after, sn_notice=warning)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What one update intended to send, and what it sent."""

    verdict: mapping.Merge
    payload: Payload
    before: Record
    turned_back: bool
    overlap: ConcurrentEdit | None

    def agreed_by(self, record: Record) -> tuple[str, ...]:
        """Fields that the response confirms. The resolution follows the status.

        A state that ServiceNow changed back is not confirmed, so the next attempt sends it again.
        """
        names = {*self.verdict.send, *(RESOLUTION if "status" in self.verdict.send else ())}
        names -= {*self.verdict.take, *self.verdict.conflicts}
        if self._state_was_changed_back(record):
            names -= {"status", *RESOLUTION}
        return tuple(name for name in SYNCED if name in names)

    def _state_was_changed_back(self, record: Record) -> bool:
        wanted = self.payload.fields.get("state")
        return wanted is not None and record.get("state", wanted) != wanted

    def told(self, record: Record, ticket: Ticket, *, in_step: bool) -> str:
        """What went and what did not, in sentences; empty when there is nothing to tell."""
        went = [
            f"{label_of(name)} {shown(ticket, name)}"
            for name in self.verdict.send
            if mapping.FIELD_OF[name] in self.payload.fields
        ]
        head = f"Sent to {ticket.sn_number}: {', '.join(went)}." if went else ""
        said = (head, *self.payload.unsent, *self.payload.refused_by(record))
        silent = f"In sync with {ticket.sn_number}." if in_step else ""
        return " ".join(part for part in said if part) or silent

    def trouble(self, record: Record, ticket: Ticket) -> ServiceNowRejected | None:
        """The error that blocks the update: a state changed back, or a conflict."""
        if self._state_was_changed_back(record):
            return ServiceNowRejected(" ".join(self.payload.refused_by(record)), kind=Kind.NOT_KEPT)
        if not ticket.sn_conflicts:
            return None
        names = ", ".join(label_of(name) for name in ticket.sn_conflicts)
        return ServiceNowRejected(
            f"Conflict with {ticket.sn_number}: {names}. Resolve it on the ticket.",
            kind=Kind.CONFLICT,
        )


def _refuse_reopening(record: Record, ticket: Ticket) -> None:
    state = record.get("state")
    if state in (mapping.CLOSED, mapping.CANCELED) and not ticket.status.ended:
        raise ServiceNowRejected(
            f"{record.get('number')} is {mapping.STATE_LABELS[state].lower()} in ServiceNow "
            "and cannot be reopened. Unlink it and create a new incident.",
            kind=Kind.CLOSED,
        )
