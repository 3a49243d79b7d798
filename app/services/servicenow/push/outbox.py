"""The outbox for people: list, pause, resume, retry, discard and edit."""

from collections.abc import Sequence

from sqlalchemy import Connection as DbConnection

from app.copilot.secrets.redact import unmasked
from app.db import create_keys, events, links, outbox, outbox_list, pauses, restores, tickets
from app.db.engine import reading, writing
from app.errors import Conflict, Invalid, ServiceNowError
from app.integrations.servicenow import mapping
from app.models.form_basis import Basis
from app.models.servicenow import OutboxItem, OutboxKind, Pause, PushStatus, Restore
from app.models.servicenow_pages import OutboxFilter, OutboxList, OutboxRow, PushEdit
from app.models.tickets import Ticket, TicketEvent
from app.services.privacy import masked_event, masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context, checked_reason
from app.services.servicenow.push.delivery import Delivery
from app.services.servicenow.push.status import push_status
from app.services.tickets.edit_conflict import edit_conflict

PAGE_SIZE = 50
NOT_CERTAIN = "This update cannot be edited. It is being sent, may have arrived or is finished."


class Outbox:
    """Lists outbox items and changes waiting ones."""

    def __init__(self, context: Context, lookups: Lookups, delivery: Delivery) -> None:
        self._context = context
        self._lookups = lookups
        self._delivery = delivery

    # -- reading --------------------------------------------------------------------------

    def shown(self, wanted: OutboxFilter, *, page: int = 1, limit: int = PAGE_SIZE) -> OutboxList:
        """One page of matching items, each with its ticket and note."""
        with reading(self._context.engine) as conn:
            total = outbox_list.count(conn, wanted)
            pages = max(1, -(-total // limit))
            page = min(max(1, page), pages)
            items = outbox_list.page(conn, wanted, limit=limit, offset=(page - 1) * limit)
            rows = _rows(conn, items, restores.find(conn, self._context.host))
        return OutboxList(rows, total=total, page=page, pages=pages, wanted=wanted)

    def row(self, item_id: int) -> OutboxRow:
        """One outbox item. Raises NotFound."""
        with reading(self._context.engine) as conn:
            restore = restores.find(conn, self._context.host)
            return _rows(conn, [outbox.get(conn, item_id)], restore)[0]

    def paused(self) -> Pause | None:
        """The current pause of sending; None if updates are sent."""
        with reading(self._context.engine) as conn:
            return pauses.find(conn, self._context.host)

    # -- pausing --------------------------------------------------------------------------

    def pause(self, reason: str, *, by: str) -> None:
        """Pause sending. Raises NotConfigured, and Invalid without a reason."""
        self._context.connected_client()
        said = checked_reason(reason, "Enter a reason for pausing.")
        with writing(self._context.engine) as conn:
            if pauses.find(conn, self._context.host) is None:
                pauses.store(conn, self._context.host, Pause(self._context.now(), by, said))

    def resume(self) -> None:
        """Resume sending, at once."""
        with writing(self._context.engine) as conn:
            pauses.store(conn, self._context.host, None)
        self._context.wake()

    # -- editing --------------------------------------------------------------------------

    def edit_form(self, item_id: int, *, live: bool = True) -> PushEdit:
        """The editable values of a waiting update.

        `live` loads the choices from the instance if it is available. Raises NotFound, and Conflict
        for an update that cannot be edited.
        """
        row = self.row(item_id)
        if not row.editable:
            raise Conflict(NOT_CERTAIN)
        item = row.item
        creates = item.kind is OutboxKind.CREATE
        choices = self._choices if live else self._lookups.known_choices
        return PushEdit(
            row=row,
            close_codes=choices("close_code") if row.closes else (),
            close_code=item.close_code or row.ticket.resolution_code or "",
            groups=choices("assignment_group") if creates else (),
            group=item.assignment_group or self._context.defaults.assignment_group,
        )

    def edit(
        self,
        item_id: int,
        *,
        by: str,
        note: str,
        close_code: str,
        assignment_group: str,
        basis: Basis,
    ) -> None:
        """Change a waiting update and deliver it now. Values of other kinds are ignored.

        An empty close code means the ticket's own, and an empty group is set by ServiceNow. The
        text of a note also changes on the ticket. Raises NotFound, Invalid for an empty note or a
        choice that the instance does not have, and Conflict for an update that may have arrived or
        a text that another person changed since the form was filled (`basis`).
        """
        row = self.row(item_id)
        values = self._checked(row, close_code, assignment_group)
        changed = [name for name, value in values.items() if value != getattr(row.item, name)]
        text = note.strip()
        if row.note and not text:
            raise Invalid("Check these fields:", fields={"note": "Enter a note."})
        body = row.note.body if row.note else ""
        if basis.contested(basis.own({"note": text}), {"note": body}):
            raise edit_conflict("note", "Another agent", {"note": body})
        with writing(self._context.engine) as conn:
            if not outbox.amend(conn, item_id, now=self._context.now(), **values):
                raise Conflict(NOT_CERTAIN)
            if row.note and text != body and basis.touched("note", text):
                written = events.get(conn, row.note.id).body
                events.rewrite(conn, row.note.id, unmasked(text, written))
                changed.append("note")
            self._tell(conn, row.ticket.id, changed, by=by)
        self._delivery.try_now(item_id)

    def retry(
        self, item_id: int, *, by: str, close_code: str = "", none_found: bool = False
    ) -> PushStatus:
        """Deliver a waiting update now, with a close code of the instance if one is needed.

        `none_found`: a person searched for the incident of an unproven create and found none.
        """
        context = self._context
        with writing(context.engine) as conn:
            item = outbox.get(conn, item_id)
            choices: outbox.Choices = {"close_code": close_code} if close_code else {}
            if none_found and self._send_anew(conn, item):
                told = "No incident was found in ServiceNow. The update is sent again."
                events.add_event(conn, item.ticket_id, told, by=by, now=context.now())
            elif outbox.revive(conn, item_id, now=context.now(), **choices):
                told = "Retry requested."
                events.add_event(conn, item.ticket_id, told, by=by, now=context.now())
        self._delivery.try_now(item_id, probe=True)
        return push_status(self._context, self._lookups, item.ticket_id)

    def _send_anew(self, conn: DbConnection, item: OutboxItem) -> bool:
        """Requeue a create with new keys, so that no incident of the old keys is linked."""
        if not item.wants_proof:
            return False
        now = self._context.now()
        old = mapping.own_key(self._context.installation, item.correlation_id or "")
        create_keys.spend(conn, [old] if old else [], now=now)
        ticket = tickets.get(conn, item.ticket_id, for_update=True)
        fresh = links.renew_key(conn, ticket, now=now)
        made = mapping.create_keys(self._context.installation, fresh)
        return outbox.send_anew(
            conn, item.id, sys_id=made.sys_id, correlation_id=made.correlation_id, now=now
        )

    def discard(self, item_id: int, reason: str, *, by: str) -> PushStatus:
        """Discard a waiting update. The reason is recorded in the timeline.

        Raises NotFound, Invalid without a reason, and Conflict for an update that is being sent or
        may have arrived, because its result must be checked first.
        """
        said = checked_reason(reason, "Enter a reason for discarding this update.")
        context = self._context
        with writing(context.engine) as conn:
            item = outbox.get(conn, item_id)
            if not outbox.discard(conn, item_id, now=context.now(), reason=said):
                raise Conflict(
                    "This update cannot be discarded. "
                    "It is being sent, may have arrived or is finished."
                )
            if item.event_id is not None:
                events.keep_here(conn, item.event_id)
            told = f"Update discarded ({item.kind.label}): {said}"
            events.add_event(conn, item.ticket_id, told, by=by, now=context.now())
        return push_status(self._context, self._lookups, item.ticket_id)

    def _tell(self, conn: DbConnection, ticket_id: int, changed: list[str], *, by: str) -> None:
        what = ", ".join(name.replace("_", " ") for name in changed) or "no changes"
        told = f"Update edited ({what}) and sent again."
        events.add_event(conn, ticket_id, told, by=by, now=self._context.now())

    def _checked(self, row: OutboxRow, close_code: str, assignment_group: str) -> outbox.Choices:
        """The columns of this kind of update, each a choice of the instance."""
        values: outbox.Choices = {}
        if row.closes:
            known = self._lookups.known_choices("close_code")
            values["close_code"] = _known("close_code", close_code, known)
        if row.item.kind is OutboxKind.CREATE:
            known = self._lookups.known_choices("assignment_group")
            if default := self._context.defaults.assignment_group:
                known = (*known, (default, "Default group"))
            group = _known("assignment_group", assignment_group, known)
            values["assignment_group"] = group
        return values

    def _choices(self, element: str) -> tuple[tuple[str, str], ...]:
        """The choices from the instance, or the cached ones while it is unavailable."""
        client = self._context.client
        if client is not None:
            try:
                with client.click():
                    return self._lookups.choices(element)
            except ServiceNowError:
                pass  # The page works with cached choices.
        return self._lookups.known_choices(element)


def _rows(
    conn: DbConnection, items: Sequence[OutboxItem], restore: Restore | None
) -> tuple[OutboxRow, ...]:
    by_ticket = tickets.of_ids(conn, {item.ticket_id for item in items})
    notes = events.of_ids(conn, {item.event_id for item in items if item.event_id is not None})
    rows = []
    for item in items:
        note = notes.get(item.event_id) if item.event_id is not None else None
        note = masked_event(note) if note else None
        ticket = masked_ticket(by_ticket[item.ticket_id])
        held = restore is not None and restore.holds(item)
        rows.append(OutboxRow(item, ticket, note, _summary(item, ticket, note), held))
    return tuple(rows)


def _summary(item: OutboxItem, ticket: Ticket, note: TicketEvent | None) -> str:
    """What the item sends. Empty for a finished item, because the ticket may have changed."""
    if note is not None:
        line = " ".join(note.body.split())
        return f"{note.kind.label.capitalize()}: {line[:120]}{'…' if len(line) > 120 else ''}"
    if not item.waiting:
        return ""
    if item.kind is OutboxKind.CREATE:
        return f"{ticket.subject} ({ticket.status.label})"
    code = item.close_code or ticket.resolution_code
    closing = f", resolution code “{code}”" if ticket.status.ended and code else ""
    return f"Status “{ticket.status.label}”{closing}"


def _known(name: str, value: str, known: tuple[tuple[str, str], ...]) -> str | None:
    """The value, or None if it is empty. Raises Invalid if the instance does not have it."""
    if value and known and value not in dict(known):
        words = name.replace("_", " ")
        raise Invalid(
            f"This {words} does not exist in ServiceNow.",
            fields={name: "Choose a value from the list."},
        )
    return value or None
