"""Whose clock says what: stamps of an instance, its own clock, and the zone of our account.

The watermark of a pull must never run ahead of the instance's clock: one row stamped in the future
would hide every change until then.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow.answers import http_date
from app.integrations.servicenow.call_listeners import Call
from app.integrations.servicenow_client import Query, ServiceNowClient

STAMP = "sys_updated_on"
# Clocks of an instance's nodes, and ours, differ by less than this.
TOLERATED = timedelta(minutes=1)
NOT_UTC = (
    "ServiceNow reads times in queries in the integration account's time zone, which is not UTC. "
    "Queries by time would miss changes."
)
NOT_UTC_HINT = "In ServiceNow, set the account's time zone to GMT. Then test the connection."


class NotUtc(ServiceNowRejected):
    """A query by time would miss changes without a word."""


def date_of(call: Call | None) -> datetime | None:
    """What the instance's clock said when it answered; None when it does not say."""
    return http_date(call.date) if call else None


def reached(
    stamps: Sequence[datetime], *, theirs: datetime | None, ours: datetime
) -> datetime | None:
    """Up to when everything is read, once rows with these stamps are: never in the future.

    Without the instance's clock (`theirs`) only a stamp can be trusted that is not after `ours`.
    """
    if not stamps:
        return None
    if theirs is not None:
        return min(max(stamps), theirs)
    return max((stamp for stamp in stamps if stamp <= ours), default=ours)


def ahead(
    stamps: Sequence[datetime], *, theirs: datetime | None, ours: datetime
) -> datetime | None:
    """The newest of the stamps if it lies in the future, beyond what clocks differ by."""
    newest = max(stamps, default=None)
    return newest if newest and newest > (theirs or ours) + TOLERATED else None


def set_back(before: int | None, now: int | None) -> timedelta:
    """By how much the instance's clock was set back; both are its seconds ahead of ours."""
    if before is None or now is None:
        return timedelta()
    step = timedelta(seconds=before - now)
    return step if step > TOLERATED else timedelta()


def reads_utc(client: ServiceNowClient, row: Mapping[str, str]) -> bool:
    """Whether a literal time in a query means UTC, asked with a known row's own stamp.

    True also when the row has changed or gone since: then this cannot be known.
    """
    fields = ("sys_id", STAMP)
    known = Query().equals("sys_id", row["sys_id"])
    query = known.at_least(STAMP, row[STAMP]).at_most(STAMP, row[STAMP])
    if client.get_incidents(query, limit=1, fields=fields).total:
        return True
    again = client.get_incidents(known, limit=1, fields=fields).records
    return not again or again[0].get(STAMP) != row[STAMP]


def ensure_utc(client: ServiceNowClient, rows: Sequence[Mapping[str, str]]) -> None:
    """Raises NotUtc when times in queries are not read as UTC."""
    row = next((row for row in rows if row.get(STAMP)), None)
    if row and not reads_utc(client, row):
        raise NotUtc(NOT_UTC, kind=Kind.INVALID, hint=NOT_UTC_HINT)
