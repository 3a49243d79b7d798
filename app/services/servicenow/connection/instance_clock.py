"""Time on the instance: update times, its clock, and the time zone of the integration account.

The watermark must never be later than the instance's clock. Otherwise one row with an update time
in the future would hide all changes until that time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow.answers import http_date
from app.integrations.servicenow.call_listeners import Call
from app.integrations.servicenow_client import Query, ServiceNowClient

STAMP = "sys_updated_on"
# Maximum normal difference between the clocks of this server and of the instance's nodes.
TOLERATED = timedelta(minutes=1)
NOT_UTC = (
    "ServiceNow reads times in queries in the integration account's time zone, which is not UTC. "
    "Queries by time would miss changes."
)
NOT_UTC_HINT = "In ServiceNow, set the account's time zone to GMT. Then test the connection."


class NotUtc(ServiceNowRejected):
    """Queries by time would silently miss changes."""


def date_of(call: Call | None) -> datetime | None:
    """The instance's time in a response; None if the response has no date."""
    return http_date(call.date) if call else None


def reached(
    stamps: Sequence[datetime], *, theirs: datetime | None, ours: datetime
) -> datetime | None:
    """The watermark after rows with these update times are read, never in the future.

    Without the instance's time (`theirs`), update times later than `ours` are ignored. None if
    there are no rows.
    """
    if not stamps:
        return None
    if theirs is not None:
        return min(max(stamps), theirs)
    return max((stamp for stamp in stamps if stamp <= ours), default=ours)


def ahead(
    stamps: Sequence[datetime], *, theirs: datetime | None, ours: datetime
) -> datetime | None:
    """The newest update time if it is in the future by more than the tolerance, else None."""
    newest = max(stamps, default=None)
    return newest if newest and newest > (theirs or ours) + TOLERATED else None


def set_back(before: int | None, now: int | None) -> timedelta:
    """How far the instance's clock was set back. Arguments: its seconds ahead of this server."""
    if before is None or now is None:
        return timedelta()
    step = timedelta(seconds=before - now)
    return step if step > TOLERATED else timedelta()


def reads_utc(client: ServiceNowClient, row: Mapping[str, str]) -> bool:
    """Whether the instance reads times in queries as UTC, tested with the time of a known row.

    Also True if the row was changed or deleted meanwhile, because the test is inconclusive then.
    """
    fields = ("sys_id", STAMP)
    known = Query().equals("sys_id", row["sys_id"])
    query = known.at_least(STAMP, row[STAMP]).at_most(STAMP, row[STAMP])
    if client.get_incidents(query, limit=1, fields=fields).total:
        return True
    again = client.get_incidents(known, limit=1, fields=fields).records
    return not again or again[0].get(STAMP) != row[STAMP]


def ensure_utc(client: ServiceNowClient, rows: Sequence[Mapping[str, str]]) -> None:
    """Raises NotUtc if the instance does not read times in queries as UTC."""
    row = next((row for row in rows if row.get(STAMP)), None)
    if row and not reads_utc(client, row):
        raise NotUtc(NOT_UTC, kind=Kind.INVALID, hint=NOT_UTC_HINT)
