"""Send one outbox item by its kind: create, update or note, each exactly once."""

import logging
from collections.abc import Mapping

from sqlalchemy import Connection as DbConnection

from app.copilot.secrets.redact import masked
from app.db import events, links, outbox
from app.db.engine import reading
from app.errors import AnswerLost, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.servicenow import OutboxItem, OutboxKind
from app.models.tickets import EventKind, Ticket, TicketEvent
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.push.attempt import Attempt, Settle
from app.services.servicenow.push.create import CreatePush
from app.services.servicenow.push.guards import ensure_may_send, link_of
from app.services.servicenow.push.held_creates import HeldCreates
from app.services.servicenow.push.payload import Payloads
from app.services.servicenow.push.update import UpdatePush

log = logging.getLogger("app.outbox")
JOURNAL = {EventKind.INTERNAL_NOTE: "work_notes", EventKind.COMMENT: "comments"}
Record = Mapping[str, str]


class Dispatcher:
    """Sends a claimed item. Every failure is raised."""

    def __init__(self, context: Context, lookups: Lookups, restores: HeldCreates) -> None:
        self._context = context
        self._restores = restores
        payloads = Payloads(context, lookups)
        self._creates = CreatePush(context, lookups, payloads, restores)
        self._updates = UpdatePush(context, lookups, payloads)

    def send(self, attempt: Attempt) -> Settle:
        """Send the item. Returns how to record its success.

        Raises ServiceNowError, or TooEarly if it is too early to send again.
        """
        item = attempt.item
        if item.host != self._context.host:
            raise ServiceNowRejected(
                f"This update is for {item.host}, but the app is connected to"
                f" {self._context.host}. Ask an administrator.",
                kind=Kind.OTHER_INSTANCE,
            )
        if item.kind is OutboxKind.CREATE:
            return self._creates.send(attempt)
        if item.kind is OutboxKind.UPDATE:
            return self._updates.send(attempt)
        return self._note(attempt)

    # -- notes ----------------------------------------------------------------------------

    def _note(self, attempt: Attempt) -> Settle:
        item, ticket = attempt.item, attempt.ticket
        sys_id = link_of(ticket)
        assert item.event_id is not None
        with reading(self._context.engine) as conn:
            note = events.get(conn, item.event_id)
        assert note.sn_mark is not None
        reference = mapping.note_reference(note.sn_mark)
        client = self._context.connected_client()
        restore = attempt.connection.restore
        first = item.attempts == 1 and not self._restores.may_be_sent(item, restore)
        if first or not self._in_journal(sys_id, reference):
            ensure_may_send(item, self._context)
            link_back = self._context.ticket_url(ticket.id) if note.internal else ""
            text = mapping.note_text(masked(note.body), reference=reference, link_back=link_back)
            try:
                client.update_incident(sys_id, {JOURNAL[note.kind]: text})
            except AnswerLost as lost:
                self._find_or_raise(sys_id, reference, lost)
        return lambda conn: self._record_sent(conn, item, ticket, note)

    def _find_or_raise(self, sys_id: str, reference: str, lost: AnswerLost) -> None:
        """Raise `lost` unless the note is found in the journal."""
        try:
            found = self._in_journal(sys_id, reference)
        except ServiceNowError as exc:
            raise lost from exc
        if not found:
            raise lost

    def _in_journal(self, sys_id: str, reference: str) -> bool:
        client = self._context.connected_client()
        try:
            if any(reference in row.get("value", "") for row in client.journal(sys_id)):
                return True
        except ServiceNowRejected as exc:
            log.info("the account cannot read the journal table: %s", exc.kind)
        # A closed journal table often looks empty. The record shows its journal too.
        shown = client.display_journal(sys_id)
        return any(reference in text for text in shown.values())

    def _record_sent(
        self, conn: DbConnection, item: OutboxItem, ticket: Ticket, note: TicketEvent
    ) -> None:
        now = self._context.now()
        if not outbox.finish(conn, item, now=now):
            return
        links.confirm(conn, ticket.id, now=now)
        events.mark_pushed(conn, note.id, now=now)
        told = f"Note sent to {ticket.sn_number}."
        events.add_event(conn, ticket.id, told, by=item.created_by, now=now)
