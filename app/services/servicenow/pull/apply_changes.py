"""Apply incoming incidents to the cache, the linked tickets and their timelines."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as DbConnection

from app.db import change_cursor, events, incidents, sync_history, tickets
from app.errors import ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow.call_listeners import Call
from app.models.conflicts import Values
from app.models.servicenow import Incident, JournalEntry
from app.models.servicenow_pages import FieldChange
from app.models.tickets import EventKind, Ticket
from app.services.servicenow.merge.reconcile import Reconciled, reconcile, write_all
from app.services.servicenow.push.held_creates import notice
from app.services.servicenow.sync_history import shortened, told

log = logging.getLogger("app.pulls")
Record = Mapping[str, str]
KINDS = {"comments": EventKind.COMMENT, "work_notes": EventKind.INTERNAL_NOTE}


@dataclass(frozen=True, slots=True)
class ChangeApplier:
    """Applies one page of incidents in one transaction.

    Without `pulling`, only the cache is updated and tickets stay unchanged.
    """

    conn: DbConnection
    host: str
    installation: str
    maps: mapping.Maps
    pulling: bool
    now: datetime
    calls: Sequence[Call] = ()
    # Versions seen before some incidents were read again: those rows are not late responses.
    known: Mapping[str, Values] = field(default_factory=dict)

    def store(self, records: Sequence[Record], journal: Sequence[Record]) -> None:
        """Store the incidents, update their tickets, and add journal rows to the timelines."""
        incidents.store(self.conn, readable(records), now=self.now)
        notice(self.conn, self.host, self.installation, records, now=self.now)
        linked = change_cursor.linked(self.conn, self.host, [row["sys_id"] for row in records])
        known = [row for row in records if row["sys_id"] in linked]
        compared = [self._compared(linked[row["sys_id"]], row) for row in known]
        write_all(self.conn, compared, now=self.now, calls=self.calls)
        if self.pulling:
            self._tell_notes(linked, journal)

    def _compared(self, ticket: Ticket, record: Record) -> tuple[Ticket, Reconciled]:
        if ticket.sn_missing_since is not None:
            ticket = tickets.annotate(self.conn, ticket, sn_missing_since=None)
            text = f"{ticket.sn_number} is visible again."
            events.add_event(self.conn, ticket.id, text, now=self.now)
        found = reconcile(
            ticket,
            record,
            maps=self.maps,
            pulling=self.pulling,
            now=self.now,
            known=self.known.get(record["sys_id"]),
        )
        return ticket, found

    def miss(self, sys_ids: Sequence[str]) -> None:
        """Mark known incidents that were not returned as missing. Their links stay."""
        for sys_id in sys_ids:
            incidents.remove(self.conn, sys_id)
        for ticket in change_cursor.linked(self.conn, self.host, sys_ids).values():
            if ticket.sn_missing_since is None:
                tickets.annotate(self.conn, ticket, sn_missing_since=self.now)
                text = f"{ticket.sn_number} was deleted, or the integration account cannot see it."
                events.add_event(self.conn, ticket.id, text, now=self.now)

    # -- journals ---------------------------------------------------------------------------

    def _tell_notes(self, linked: Mapping[str, Ticket], journal: Sequence[Record]) -> None:
        """Add each journal row once. Notes of this app are recognized by their reference."""
        if not journal:
            return
        known = events.known_journal_ids(self.conn, [ticket.id for ticket in linked.values()])
        told: set[int] = set()
        for row in journal:
            ticket = linked.get(row.get("element_id", ""))
            if ticket is None or (ticket.id, row["sys_id"]) in known:
                continue
            if self._tell_note(ticket, row):
                told.add(ticket.id)
        for ticket_id in told:
            tickets.touch(self.conn, ticket_id, now=self.now)

    def _tell_note(self, ticket: Ticket, row: Record) -> bool:
        """Add the row to the timeline. Returns False for a note of this app."""
        entry = mapping.journal_entry(row)
        if entry.element not in KINDS or self._is_ours(ticket, row, entry):
            return False
        internal = entry.element != "comments"
        events.add_journal_entry(
            self.conn,
            ticket.id,
            entry,
            kind=KINDS[entry.element],
            internal=internal,
            journal_id=row["sys_id"],
            now=self.now,
        )
        sync_history.add(
            self.conn,
            at=self.now,
            direction="pull",
            what="note",
            ticket_id=ticket.id,
            number=ticket.sn_number or "",
            who=entry.author or None,
            changes=[FieldChange(entry.element, "", shortened(entry.body))],
            **told(self.calls),
        )
        return True

    def _is_ours(self, ticket: Ticket, row: Record, entry: JournalEntry) -> bool:
        if mapping.is_note_of_create(entry.body, ticket.id):
            return True
        marks = mapping.referenced_marks(entry.body)
        return bool(marks) and events.recognise(
            self.conn, ticket.id, marks, journal_id=row["sys_id"], now=self.now
        )


def readable(records: Sequence[Record]) -> list[Incident]:
    """The valid incidents. Invalid records are logged and left out."""
    found = []
    for record in records:
        try:
            found.append(mapping.incident_from_record(record))
        except ServiceNowRejected as exc:
            log.warning("%s of %s", exc.message, record.get("sys_id"))
    return found
