"""Finding the incident that an earlier try of a create may have made."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.db import change_cursor, outbox, restores
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow import mapping as mapping
from app.integrations.servicenow_client import Query
from app.models.servicenow import KeptKeys, OutboxItem
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.context import Setup

FIELDS = (*mapping.FIELDS, "correlation_display")
Record = Mapping[str, str]
# What the account may not read at all.
CLOSED = (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)
# The clocks of both sides may differ, and a write may take its time.
MARGIN = timedelta(minutes=5)


class Found(NamedTuple):
    """Incidents of a create, oldest first. Not `certain`: there may be one that nobody can see."""

    records: Sequence[Record]
    certain: bool = True


class Finder:
    """Looks by each key that this instance keeps, and for the work note as a last way."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def look(self, item: OutboxItem, *, sent_at: datetime | None) -> Found:
        """What an attempt that was sent at that time has made. Raises ServiceNowError."""
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
        """Which keys the newest incident created from here kept; None when there is none to try.

        Raises ServiceNowError.
        """
        setup = self._setup
        with reading(setup.engine) as conn:
            newest = outbox.newest_create(conn, setup.host)
        record = self._incident(newest[1]) if newest else None
        if newest is None or record is None:
            return None
        kept = keys_kept(record, newest[0])
        with writing(setup.engine) as conn:
            restores.store_kept_keys(conn, setup.host, kept)
        return kept

    def _kept_keys(self) -> KeptKeys:
        with reading(self._setup.engine) as conn:
            kept = restores.kept_keys(conn, self._setup.host)
        return self.try_newest_create() or kept if kept == KeptKeys() else kept

    def _by_correlation_id(self, item: OutboxItem) -> tuple[Sequence[Record], bool]:
        """The incidents that carry our key, and whether the account may ask for it."""
        assert item.correlation_id is not None
        client = self._setup.connected_client()
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
            return self._setup.connected_client().get_incident(sys_id, fields=FIELDS)
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.NOT_FOUND:
                raise
            return None

    def _shows_correlation_ids(self) -> bool:
        """Whether the account may read the field now: an instance leaves out a condition on a
        hidden one and never says so.
        """
        fields = ("sys_id", "correlation_id")
        page = self._setup.connected_client().sample("incident", fields, Query())
        return any("correlation_id" in row for row in page.records)

    def _by_work_note(self, item: OutboxItem, sent_at: datetime) -> Found:
        """The incident whose work note carries the ticket's mark.

        A journal that is closed to the account shows no rows, and often still counts them.
        """
        until = sent_at + self._setup.settle + MARGIN
        try:
            page = self._setup.connected_client().work_notes_between(
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
        """Not where a pull found the journal closed, or where times mean those of another zone."""
        with reading(self._setup.engine) as conn:
            if change_cursor.find(conn, self._setup.host).journal == "closed":
                return False
        client = self._setup.connected_client()
        page = client.sample("incident", ("sys_id", instance_clock.STAMP), Query())
        row = next((row for row in page.records if row.get(instance_clock.STAMP)), None)
        return row is None or instance_clock.reads_utc(client, row)


def is_ours(row: Record, item: OutboxItem) -> bool:
    """The keys are as we sent them, as far as the instance keeps and shows them."""
    key = row.get("correlation_id") or item.correlation_id
    display = row.get("correlation_display") or mapping.DISPLAY
    return key == item.correlation_id and display == mapping.DISPLAY


def keys_kept(row: Record, item: OutboxItem) -> KeptKeys:
    """Which keys of a create came back with its incident."""
    return KeptKeys(
        correlation_id=row.get("correlation_id") == item.correlation_id,
        sys_id=row["sys_id"] == item.sys_id,
    )


def _is_note_of(row: Record, item: OutboxItem) -> bool:
    """Creates of earlier versions wrote the ticket's number alone."""
    text = row.get("value", "")
    if not mapping.is_note_of_create(text, item.ticket_id):
        return False
    marks = mapping.referenced_marks(text)
    with_mark = (item.correlation_id or "").endswith(item.sys_id or "")
    return item.sys_id in marks if with_mark else not marks
