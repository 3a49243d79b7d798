"""Create the incident of a ticket: send it, look it up after a lost response, link it."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection as DbConnection

from app.db import (
    duplicates,
    events,
    links,
    outbox,
    restores,
    suggestions,
    tickets,
)
from app.db.engine import reading
from app.errors import AnswerLost, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.conflicts import Values
from app.models.servicenow import OutboxItem
from app.models.tickets import Ticket
from app.services.privacy import masked_steps, masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.merge.reconcile import reconcile, write
from app.services.servicenow.push.attempt import Attempt, Settle
from app.services.servicenow.push.create_lookup import FIELDS, CreateLookup, Found, keys_kept
from app.services.servicenow.push.guards import (
    ensure_settled,
    their_time,
    write_ahead_of_create,
)
from app.services.servicenow.push.held_creates import HeldCreates
from app.services.servicenow.push.payload import Payloads

Record = Mapping[str, str]


class CreatePush:
    """Sends creates. Every repeated attempt first looks for the incident by its keys."""

    def __init__(
        self, context: Context, lookups: Lookups, payloads: Payloads, restores: HeldCreates
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._payloads = payloads
        self._restores = restores
        self._finder = CreateLookup(context)

    def send(self, attempt: Attempt) -> Settle:
        """Create the incident. Returns how to link it.

        Raises ServiceNowError, or TooEarly if it is too early to send again.
        """
        context, item, ticket = self._context, attempt.item, attempt.ticket
        again = item.sent_at is not None
        found = Found(())
        restore = self._restores.ensure_released(attempt.connection.restore)
        if again or self._restores.may_be_sent(item, restore):
            found = self._finder.look(item, sent_at=item.sent_at)
        ours, made = found.records, False
        if not ours:
            ensure_settled(item, context)
            if not found.certain:
                raise _unproven(ticket)
            payload = self._payload(attempt)
            said = mapping.values_sent(payload, ticket.assignee, attempt.maps)
            write_ahead_of_create(item, context, sent=links.values_of(ticket), said=said)
            try:
                record = context.connected_client().create_incident(payload, fields=FIELDS)
            except (AnswerLost, ServiceNowRejected) as exc:
                # Also after a rejection: the instance rejects a second record with the same sys_id.
                ours = self._find_or_raise(item, exc)
            else:
                made = not again
                ours = (record,) if made else self._with_late_ones(item, record)
        return lambda conn: self._record_link(conn, attempt, ours, found=not made)

    def _payload(self, attempt: Attempt) -> dict[str, str]:
        item, ticket = attempt.item, attempt.ticket
        assert item.sys_id is not None
        assert item.correlation_id is not None
        context = self._context
        if ticket.reasons_pending:
            context.complete(ticket.id)
        with reading(context.engine) as conn:
            steps = suggestions.of_ticket(conn, ticket.id)
            categories = self._lookups.fresh_choices(conn, "category")
        if categories is None:
            categories = self._lookups.read_choices("category")
        return mapping.create_payload(
            masked_ticket(ticket),
            maps=attempt.maps,
            keys=mapping.CreateKeys(item.sys_id, item.correlation_id),
            suggestions=masked_steps(steps),
            people=self._lookups.people(ticket),
            assignment_group=item.assignment_group
            or ticket.assignment_group
            or context.defaults.assignment_group,
            categories=[value for value, _ in categories],
            close_code=self._payloads.close_code(item, ticket) if ticket.status.ended else None,
            link_back=context.ticket_url(ticket.id),
        )

    def _find_or_raise(self, item: OutboxItem, cause: ServiceNowError) -> Sequence[Record]:
        """The incidents found. Raises `cause` if there are none or the lookup fails."""
        try:
            found = self._finder.look(item, sent_at=their_time(self._context))
        except ServiceNowError as exc:
            raise cause from exc
        if not found.records:
            raise cause
        return found.records

    def _with_late_ones(self, item: OutboxItem, record: Record) -> Sequence[Record]:
        """The new incident, preceded by incidents that a late earlier attempt created."""
        try:
            return self._finder.look(item, sent_at=None).records or (record,)
        except ServiceNowError:
            return (record,)

    def _record_link(
        self, conn: DbConnection, attempt: Attempt, ours: Sequence[Record], *, found: bool
    ) -> None:
        """Link the oldest. `found`: it was looked up, so it may have changed since its creation."""
        now, item, maps = self._context.now(), attempt.item, attempt.maps
        record, *others = ours
        number = record.get("number", "")
        current = tickets.get(conn, item.ticket_id, for_update=True)
        if not outbox.finish(conn, item, now=now):
            return
        linked = self._link(conn, current, record, maps, found=found)
        suggestions.count_used(conn, item.ticket_id, None, way="description", now=now)
        said = _priority_there(record, attempt.ticket, maps)
        told = f"Incident {number} created in ServiceNow.{said}"
        events.add_event(conn, item.ticket_id, told, by=item.created_by, now=now)
        kept = keys_kept(record, item)
        if kept != attempt.connection.kept_keys:
            restores.store_kept_keys(conn, self._context.host, kept)
        for other in others:
            self._note_duplicate(conn, item, other, kept=number)
        self._compare(conn, attempt, linked, record)

    def _link(
        self, conn: DbConnection, ticket: Ticket, record: Record, maps: mapping.Maps, *, found: bool
    ) -> Ticket:
        theirs: Values = mapping.ticket_values(record, maps)
        # An incident that was looked up has the values of an earlier attempt.
        ours: Values = ticket.sn_agreed.get("sent") or links.values_of(ticket)
        if found and "sent" in ticket.sn_agreed:
            untouched = record.get("sys_mod_count") == "0"
            ours, theirs = mapping.agreed_when_found(ticket.sn_agreed, theirs, untouched=untouched)
        elif found:
            # The sent values are unknown: they were sent before a backup was restored.
            names = mapping.agreed_at_first(ours, theirs, record)
            ours = {name: ours[name] for name in names}
            theirs = {name: theirs[name] for name in names if name in theirs}
        return links.link(
            conn,
            ticket.id,
            sys_id=record["sys_id"],
            number=record.get("number", ""),
            host=self._context.host,
            ours=ours,
            theirs=theirs,
            seen=mapping.seen_of(record),
            group_name=record.get("assignment_group.name", ""),
            now=self._context.now(),
        )

    def _compare(
        self, conn: DbConnection, attempt: Attempt, ticket: Ticket, record: Record
    ) -> None:
        """Merge what changed in ServiceNow, and queue what changed in the ticket."""
        context, item, maps = self._context, attempt.item, attempt.maps
        pulling = attempt.connection.pulling
        compared = reconcile(ticket, record, maps=maps, pulling=pulling, now=context.now())
        after = write(conn, ticket, compared, now=context.now())
        differs = record.get("state", "") not in ("", maps.state_of_status[after.status])
        asked = "status" in compared.verdict.conflicts
        host, now = context.host, context.now()
        if compared.verdict.send or (differs and not asked):
            links.enqueue_update(conn, after, host=host, by=item.created_by, now=now)
        links.enqueue_waiting_notes(conn, after, host=host, now=now)

    def _note_duplicate(
        self, conn: DbConnection, item: OutboxItem, other: Record, *, kept: str
    ) -> None:
        number = other.get("number", "")
        now, host = self._context.now(), self._context.host
        duplicates.add(
            conn, item.ticket_id, sys_id=other["sys_id"], number=number, host=host, now=now
        )
        told = (
            f"{number} is a duplicate incident for this ticket. The ticket is linked to the older "
            f"{kept}. Cancel {number} on the ServiceNow card."
        )
        events.add_event(conn, item.ticket_id, told, by=item.created_by, now=now)


def _unproven(ticket: Ticket) -> ServiceNowRejected:
    return ServiceNowRejected(
        "ServiceNow's response was lost, and the app cannot find the incident. "
        f"Search ServiceNow for “{mapping.ticket_mark(ticket.id)}”. "
        "If the incident exists, link it. If not, send again.",
        kind=Kind.UNPROVEN,
    )


def _priority_there(record: Record, ticket: Ticket, maps: mapping.Maps) -> str:
    """A sentence about the priority that ServiceNow calculated, if it differs from the one sent."""
    theirs = record.get("priority", "")
    ours = maps.their_priority.get(ticket.effective_priority) if ticket.effective_priority else None
    if not theirs or theirs == ours:
        return ""
    return f" ServiceNow calculated priority {mapping.PRIORITY_LABELS.get(theirs, theirs)}."
