"""Find the incident that an earlier attempt of a create may have created."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.db import change_cursor, outbox, restores
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow_client import Query
from app.models.servicenow import KeptKeys, OutboxItem
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.context import Context

FIELDS = (*mapping.FIELDS, "correlation_display")
Record = Mapping[str, str]
# Errors that mean that the account has no access.
CLOSED = (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)
# Allowance for clock differences and slow writes.
MARGIN = timedelta(minutes=5)


class Found(NamedTuple):
    """Incidents of a create, oldest first. Not `certain`: an invisible incident may exist."""

    records: Sequence[Record]
    certain: bool = True


class CreateLookup:
    """Searches by correlation ID, then by sys_id, then by the work note."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def look(self, item: OutboxItem, *, sent_at: datetime | None) -> Found:
        """Incidents created by an attempt sent at `sent_at`. Raises ServiceNowError."""
        carrying, readable = self._by_correlation_id(item)
        if carrying:
            return Found(carrying)
        if row := self._by_sys_id(item):
            return Found((row,))
        if sent_at is None:
            return Found(())
        kept = self._kept_keys()
        if kept.sys_id or (kept.correlation_id and readable and self._shows_correlation_ids()):
            return Found(())
        return self._by_work_note(item, sent_at)

    def try_newest_create(self) -> KeptKeys | None:
        """The keys kept by the newest incident of this installation; None if there is none.

        Raises ServiceNowError.
        """
        context = self._context
        with reading(context.engine) as conn:
            newest = outbox.newest_create(conn, context.host)
        record = self._incident(newest[1]) if newest else None
        if newest is None or record is None:
            return None
        kept = keys_kept(record, newest[0])
        with writing(context.engine) as conn:
            restores.store_kept_keys(conn, context.host, kept)
        return kept

    def _kept_keys(self) -> KeptKeys:
        with reading(self._context.engine) as conn:
            kept = restores.kept_keys(conn, self._context.host)
        return self.try_newest_create() or kept if kept == KeptKeys() else kept

    def _by_correlation_id(self, item: OutboxItem) -> tuple[Sequence[Record], bool]:
        """The incidents with the correlation ID, and whether the account can query it."""
        assert item.correlation_id is not None
        client = self._context.connected_client()
        try:
            found = client.find_incidents("correlation_id", item.correlation_id, fields=FIELDS)
        except ServiceNowRejected as exc:
            if exc.kind not in CLOSED:
                raise
            return (), False
        return [row for row in found if is_ours(row, item)], True

    def _by_sys_id(self, item: OutboxItem) -> Record | None:
        assert item.sys_id is not None
        row = self._incident(item.sys_id)
        return row if row and is_ours(row, item) else None

    def _incident(self, sys_id: str) -> Record | None:
        try:
            return self._context.connected_client().get_incident(sys_id, fields=FIELDS)
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.NOT_FOUND:
                raise
            return None

    def _shows_correlation_ids(self) -> bool:
        """Whether the account can read the field.

        An instance silently ignores a condition on a hidden field.
        """
        fields = ("sys_id", "correlation_id")
        page = self._context.connected_client().sample("incident", fields, Query())
        return any("correlation_id" in row for row in page.records)

    def _by_work_note(self, item: OutboxItem, sent_at: datetime) -> Found:
        """The incident whose work note has the mark of the ticket.

        A journal that the account cannot read returns no rows, but often a count.
        """
        until = sent_at + self._context.settle + MARGIN
        try:
            page = self._context.connected_client().work_notes_between(
                mapping.format_stamp(sent_at - MARGIN), mapping.format_stamp(until)
            )
        except ServiceNowRejected as exc:
            if exc.kind not in CLOSED:
                raise
            return Found((), certain=False)
        noted = [row["element_id"] for row in page.records if _is_note_of(row, item)]
        records = [self._incident(sys_id) for sys_id in dict.fromkeys(noted)]
        if noted:
            ours = [row for row in records if row and is_ours(row, item)]
            return Found(ours, certain=bool(ours))
        seen = page.total == len(page.records) and self._journal_can_be_searched()
        return Found((), certain=seen)

    def _journal_can_be_searched(self) -> bool:
        """False if the journal is closed or the instance does not read times as UTC."""
        with reading(self._context.engine) as conn:
            if change_cursor.find(conn, self._context.host).journal == "closed":
                return False
        client = self._context.connected_client()
        page = client.sample("incident", ("sys_id", instance_clock.STAMP), Query())
        row = next((row for row in page.records if row.get(instance_clock.STAMP)), None)
        return row is None or instance_clock.reads_utc(client, row)


def is_ours(row: Record, item: OutboxItem) -> bool:
    """Whether the keys match those sent, as far as the instance keeps and shows them."""
    key = row.get("correlation_id") or item.correlation_id
    display = row.get("correlation_display") or mapping.DISPLAY
    return key == item.correlation_id and display == mapping.DISPLAY


def keys_kept(row: Record, item: OutboxItem) -> KeptKeys:
    """The keys of a create that its incident has kept."""
    return KeptKeys(
        correlation_id=row.get("correlation_id") == item.correlation_id,
        sys_id=row["sys_id"] == item.sys_id,
    )


def _is_note_of(row: Record, item: OutboxItem) -> bool:
    """Whether the row is the work note of this create. Older versions wrote no sys_id into it."""
    text = row.get("value", "")
    if not mapping.is_note_of_create(text, item.ticket_id):
        return False
    marks = mapping.referenced_marks(text)
    with_mark = (item.correlation_id or "").endswith(item.sys_id or "")
    return item.sys_id in marks if with_mark else not marks
