"""Tickets that come from incidents, a page at a time: no statement runs once per row."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Dialect, select

from app.db import bulk, events, links, search
from app.db.outbox import WAITING
from app.db.tables import outbox, tickets
from app.models.conflicts import SYNCED, Values
from app.models.servicenow import Incident
from app.models.tickets import SUBJECT_LENGTH, SyncStatus

# What differs between the tickets of one page.
NEW = (
    *SYNCED,
    "assignment_group_name",
    "description",
    "requester_email",
    "created_at",
    "sn_sys_id",
    "sn_number",
    "sn_agreed",
)


class NewTicket(NamedTuple):
    """A ticket that an incident becomes; `row` are its values of NEW, prepared."""

    sys_id: str
    number: str
    row: bulk.Row


def prepared(dialect: Dialect, found: Sequence[tuple[Incident, Values, Values]]) -> list[NewTicket]:
    """What `add` takes, of each incident, its values here, and which state of it they are."""
    rows = bulk.prepared(dialect, tickets, NEW, [_new(*one) for one in found])
    return [
        NewTicket(incident.sys_id, incident.number, row)
        for (incident, _, _), row in zip(found, rows, strict=True)
    ]


def being_created(conn: Connection, correlation_ids: Iterable[str]) -> set[str]:
    """Those of our own keys whose create waits, may have arrived, or is blocked."""
    wanted = [one for one in correlation_ids if one]
    if not wanted:
        return set()
    query = select(outbox.c.correlation_id).where(
        outbox.c.correlation_id.in_(wanted), outbox.c.state.in_(WAITING)
    )
    return set(conn.execute(query).scalars())


def add(
    conn: Connection, found: Sequence[NewTicket], *, host: str, now: datetime
) -> dict[str, int]:
    """A linked ticket for each incident; answers their ids by sys_id.

    Raises IntegrityError when another ticket was linked to one of them meanwhile.
    """
    if not found:
        return {}
    same = {
        "updated_at": now,
        "sn_host": host,
        "sn_last_sync_at": now,
        "sn_sync_status": SyncStatus.OK.value,
    }
    bulk.insert(conn, tickets, NEW, [one.row for one in found], same=same)
    sys_ids = [one.sys_id for one in found]
    ids = links.tickets_of(conn, host, sys_ids)
    told = (f"Imported from incident {one.number}." for one in found)
    entries = map(events.NewEntry, (ids[one.sys_id] for one in found), told)
    events.add_events(conn, list(entries), now=now)
    search.add_waiting(conn, search.TICKET, ids.values())
    return ids


def _new(incident: Incident, theirs: Values, seen: Values) -> bulk.Row:
    """The values of NEW."""
    values = {name: theirs.get(name) for name in SYNCED}
    # A subject may be hidden from us, or longer there than any is here.
    values["subject"] = (values["subject"] or incident.number)[:SUBJECT_LENGTH]
    return (
        *values.values(),
        incident.assignment_group_name or None,
        incident.description,
        incident.caller_email.casefold(),
        incident.opened_at or incident.updated_at,
        incident.sys_id,
        incident.number,
        {"ours": values, "theirs": theirs, "seen": seen},
    )
