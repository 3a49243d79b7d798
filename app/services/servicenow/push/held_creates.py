"""Hold new incidents after the database was restored from a backup or copied."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection as DbConnection

from app.db import create_keys, links, restores, sync_history
from app.db.engine import reading, writing
from app.errors import Conflict, HeldBack, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow_client import Query
from app.models.servicenow import OutboxItem, Restore
from app.services.servicenow.context import Context

log = logging.getLogger("app.pulls")
Record = Mapping[str, str]
FIELDS = ("sys_id", "number", "correlation_id", "opened_at")
NEWEST = 100
HELD = "New incidents are held. This database looks restored from a backup, or copied."


class HeldCreates:
    """Holds creates from the first sign until an administrator releases them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._due = False
        # Items up to this id waited when this process started.
        self._waited_at_start = 0

    def begin(self) -> None:
        """Require one check before the first create of this process, and note what waits now."""
        self._due = self._context.client is not None
        with reading(self._context.engine) as conn:
            self._waited_at_start = restores.last_queued(conn)

    def check_at_start(self) -> None:
        """Check now. A failed check is repeated before the first create."""
        try:
            self.check_due()
        except ServiceNowError as exc:
            log.info("check for a restored database postponed: %s", exc.message)

    def check_due(self) -> None:
        """Run the check of this process once. Raises ServiceNowError if it must be repeated."""
        if not self._due:
            return
        try:
            self.check()
        except ServiceNowRejected as exc:
            log.warning("cannot check for a restored database: %s", exc.message)
        self._due = False

    def check(self) -> bool:
        """Check one page of the newest incidents of this installation.

        Returns False if their correlation IDs are hidden. Raises ServiceNowError.
        """
        context = self._context
        query = Query().starts_with("correlation_id", mapping.own_prefix(context.installation))
        query = query.order_by_descending("sys_created_on").order_by_descending("sys_id")
        page = context.connected_client().get_incidents(
            query, limit=NEWEST, fields=FIELDS, count=False
        )
        with writing(context.engine) as conn:
            notice(conn, context.host, context.installation, page.records, now=context.now())
        return not page.records or any("correlation_id" in row for row in page.records)

    def ensure_released(self, known: Restore | None) -> Restore | None:
        """The restore, `known` unless the check of this process finds one now.

        Raises HeldBack while creates are held, and ServiceNowError if the check fails.
        """
        found = known
        if self._due:
            self.check_due()
            found = self.find()
        if found is not None and found.held:
            raise HeldBack(HELD, kind=Kind.RESTORED)
        return found

    def may_be_sent(self, item: OutboxItem, restore: Restore | None) -> bool:
        """Whether even the first attempt must look in ServiceNow for what it would send.

        What waited at the start may have been sent already, if the database was restored from a
        backup while the app was stopped.
        """
        return item.id <= self._waited_at_start or restore is not None

    def find(self) -> Restore | None:
        """The latest restore that was detected, or None."""
        with reading(self._context.engine) as conn:
            return restores.find(conn, self._context.host)

    def release(self, *, by: str) -> None:
        """Release creates. Each first looks for its record. Raises Conflict if none are held."""
        context, now = self._context, self._context.now()
        with writing(context.engine) as conn:
            found = restores.find(conn, context.host)
            if found is None or not found.held:
                raise Conflict("New incidents are not held.")
            restores.release(conn, context.host, by=by, now=now)
            sync_history.add(
                conn,
                at=now,
                direction="push",
                what="release",
                number=found.number,
                who=by,
                detail="New incidents released after this database was restored or copied.",
            )
        context.wake()


def notice(
    conn: DbConnection, host: str, installation: str, records: Sequence[Record], *, now: datetime
) -> None:
    """Hold creates if a record has a key of this installation that this database does not know.

    Keys are stored before they are sent, so another copy of this database sent it, or this one
    before it was restored. Records from before the last release are ignored.
    """
    found = {}
    for row in records:
        if key := mapping.own_key(installation, row.get("correlation_id", "")):
            found[key] = row
    if not found:
        return
    unknown = create_keys.unknown(conn, {row["correlation_id"]: key for key, row in found.items()})
    linked = links.tickets_of(conn, host, [found[key]["sys_id"] for key in unknown])
    strange = [found[key] for key in sorted(unknown) if found[key]["sys_id"] not in linked]
    create_keys.spend(conn, unknown, now=now)
    before = restores.find(conn, host)
    released = before.released_at if before else None
    news = [row for row in strange if not (released and _opened_by(row, released))]
    if news and not (before and before.held):
        number = news[0].get("number", "")
        restores.note(conn, host, number=number, now=now)
        log.warning("another copy of this database created %s: new incidents are held", number)


def _opened_by(row: Record, moment: datetime) -> bool:
    try:
        return mapping.parse_stamp(row.get("opened_at", "")) <= moment
    except ValueError:
        return False
