"""Apply a record read from the instance to its ticket, for incoming changes and for updates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as DbConnection

from app.copilot.secrets.redact import masked
from app.db import events, links, outbox, predictions, search, sync_history, tickets
from app.db.ticket_columns import Changes, SyncState, as_changes
from app.integrations.servicenow import mapping
from app.integrations.servicenow.call_listeners import Call
from app.models.conflicts import RESOLUTION, Agreed, Values
from app.models.servicenow import OutboxState
from app.models.servicenow_pages import FieldChange
from app.models.tickets import Ticket, label_of
from app.services.privacy import changes_of
from app.services.servicenow.sync_history import told

Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The merge result and the ticket columns that it changes, if any."""

    verdict: mapping.Merge = field(default_factory=lambda: mapping.Merge((), {}, (), ()))
    columns: Changes = field(default_factory=Changes)
    sync: SyncState = field(default_factory=SyncState)
    # Fields with a new conflict, or with a new value in a conflict.
    asked: tuple[str, ...] = ()
    # A conflict that blocked an update is over.
    released: bool = False
    # The record is older than one seen before: a late response, which is ignored.
    late: bool = False
    # The incident itself went back to an older version, for example with a restored backup.
    turned_back: bool = False

    @property
    def taken(self) -> tuple[str, ...]:
        """The fields whose values are copied from the incident."""
        return tuple(name for name in self.verdict.take if name in self.columns)


def reconcile(
    ticket: Ticket,
    record: Record,
    *,
    maps: mapping.Maps,
    pulling: bool,
    now: datetime,
    before: Record | None = None,
    known: Values | None = None,
    overwritten: Mapping[str, Values] | None = None,
) -> Reconciled:
    """Compare a linked ticket with its incident. Nothing is written.

    A record older than one seen before is ignored, unless that one was `known` before this record
    was read. Without `pulling`, changes made in ServiceNow are not copied and never overwritten.
    `before` is the record before a write of this app: it says who changed it last. `overwritten`
    are conflicts that the merge cannot detect.
    """
    seen = mapping.seen_of(record)
    if is_late(seen, ticket, known):
        return Reconciled(late=True)
    theirs, ours = mapping.ticket_values(record, maps), links.values_of(ticket)
    verdict = mapping.merge(ticket.sn_agreed, ours, theirs)
    take = verdict.take if pulling else {}
    agreed = agreeing(
        ticket.sn_agreed,
        ours={**ours, **take},
        theirs=theirs,
        names=(*take, *verdict.settled),
        seen=seen,
    )
    conflicts = {
        **_overwritten(ticket, theirs, overwritten or {}),
        **_conflicts(ticket, verdict, theirs, mapping.seen_of(before or record)),
    }
    columns, sync = _taken(take, record), _standing(ticket, agreed, conflicts, now)
    asked = tuple(name for name in conflicts if conflicts[name] != ticket.sn_conflicts.get(name))
    released = bool(set(ticket.sn_conflicts) - set(conflicts))
    turned_back = is_turned_back(seen, ticket, theirs)
    return Reconciled(verdict, columns, sync, asked, released, turned_back=turned_back)


def _standing(
    ticket: Ticket, agreed: Agreed, conflicts: Mapping[str, Values], now: datetime
) -> SyncState:
    """The changed columns of synced values and conflicts."""
    sync = SyncState()
    if agreed != ticket.sn_agreed:
        sync["sn_agreed"] = agreed
    if conflicts != ticket.sn_conflicts:
        sync["sn_conflicts"] = conflicts or None
        sync["sn_conflict_since"] = now if conflicts else None
    return sync


def _taken(take: Values, record: Record) -> Changes:
    """The columns of the copied values, with the columns that depend on them."""
    columns = as_changes(take)
    if "assignment_group" in take:
        columns["assignment_group_name"] = record.get("assignment_group.name") or None
    if "priority" in take:
        columns["impact"] = _severity(record, "impact")
        columns["urgency"] = _severity(record, "urgency")
    return columns


def _severity(record: Record, name: str) -> int | None:
    value = record.get(name, "")
    return int(value) if value in ("1", "2", "3") else None


def older(seen: Values, before: Values) -> bool:
    """True if `before` is a later version of the incident than `seen`."""
    ours, known = seen.get("mod_count") or "", before.get("mod_count") or ""
    return ours.isdigit() and known.isdigit() and int(ours) < int(known)


def is_late(seen: Values, ticket: Ticket, known: Values | None) -> bool:
    """True for a record older than the version of the incident that was seen since `known`."""
    latest = ticket.sn_agreed.get("seen", {})
    return older(seen, latest) and latest != known


def is_turned_back(seen: Values, ticket: Ticket, theirs: Values) -> bool:
    """True for an incident with other values and a lower update count than before."""
    known = ticket.sn_agreed.get("theirs", {})
    moved = any(theirs[name] != known[name] for name in theirs if name in known)
    return moved and older(seen, ticket.sn_agreed.get("seen", {}))


def agreeing(
    agreed: Agreed, *, ours: Values, theirs: Values, names: tuple[str, ...], seen: Values
) -> dict[str, dict[str, str | None]]:
    """The synced values, with the named fields as both sides have them now.

    The record of values being sent in other fields stays.
    """
    after = {side: dict(agreed.get(side, {})) for side in ("ours", "theirs")}
    for name in names:
        after["ours"][name] = ours.get(name)
        if name in theirs:
            after["theirs"][name] = theirs[name]
    under_way = {n: value for n, value in agreed.get("sent", {}).items() if n not in names}
    kept = {"sent": under_way, "read": dict(agreed.get("read", {}))}
    return after | {"seen": dict(seen)} | {name: one for name, one in kept.items() if one}


def _conflicts(
    ticket: Ticket, verdict: mapping.Merge, theirs: Values, seen: Values
) -> dict[str, Mapping[str, str | None]]:
    """ServiceNow's side of each conflict, with the user and time at which it was first seen."""
    found: dict[str, Mapping[str, str | None]] = {}
    for name in verdict.conflicts:
        before = ticket.sn_conflicts.get(name)
        if before and "overwritten" not in before and before.get("theirs") == theirs.get(name):
            found[name] = before
        else:
            by, at = seen.get("updated_by"), seen.get("updated_on")
            found[name] = {"theirs": theirs.get(name), "by": by, "at": at}
        if name == "status":
            travelling = {one: theirs[one] for one in RESOLUTION if one in theirs}
            found[name] = {**found[name], **travelling}
    return found


def _overwritten(
    ticket: Ticket, theirs: Values, new: Mapping[str, Values]
) -> dict[str, Mapping[str, str | None]]:
    """Overwritten values whose field has not changed in ServiceNow since the write."""
    waiting = {name: one for name, one in ticket.sn_conflicts.items() if "overwritten" in one}
    known = {**waiting, **new}
    agreed = ticket.sn_agreed.get("theirs", {})
    return {
        name: one
        for name, one in known.items()
        if theirs.get(name) == agreed.get(name)
        and not mapping.same(name, getattr(ticket, name), one.get("theirs"))
    }


def write(
    conn: DbConnection,
    ticket: Ticket,
    found: Reconciled,
    *,
    now: datetime,
    calls: Sequence[Call] = (),
) -> Ticket:
    """Write the result to the ticket and its timeline. Returns the ticket.

    The ticket must have been read for update in this transaction. `calls` are the calls that read
    the record; none for an import, which has its own sync history entry.
    """
    (after,) = write_all(conn, [(ticket, found)], now=now, calls=calls)
    return after


def write_all(
    conn: DbConnection,
    page: Iterable[tuple[Ticket, Reconciled]],
    *,
    now: datetime,
    calls: Sequence[Call] = (),
) -> list[Ticket]:
    """As `write` for many tickets, with one insert for all timeline entries."""
    written, reworded = [], []
    entries: list[events.NewEntry] = []
    history: list[sync_history.Entry] = []
    for ticket, found in page:
        after = _write_columns(conn, ticket, found, now=now)
        written.append(after)
        if found.taken:
            history.append(_history_entry(ticket, after, found, now=now))
        if not tickets.TOLD.isdisjoint(found.taken):
            reworded.append(ticket.id)
        entries += _entries(ticket, after, found)
        if found.released:
            release(conn, after, now=now)
    if reworded:
        search.index_tickets(conn, reworded)
    sync_history.add_all(conn, history, **told(calls))
    events.add_events(conn, entries, now=now)
    return written


def _history_entry(
    ticket: Ticket, after: Ticket, found: Reconciled, *, now: datetime
) -> sync_history.Entry:
    return {
        "at": now,
        "direction": "pull",
        "what": "refresh",
        "ticket_id": ticket.id,
        "number": ticket.sn_number or "",
        "changes": [
            FieldChange(name, shown(ticket, name), shown(after, name)) for name in found.taken
        ],
    }


def _write_columns(
    conn: DbConnection, ticket: Ticket, found: Reconciled, *, now: datetime
) -> Ticket:
    if not found.columns:
        return tickets.annotate(conn, ticket, **found.sync) if found.sync else ticket
    sync = found.sync | SyncState(sn_last_sync_at=now)
    after = tickets.change(conn, ticket, now=now, sync=sync, reindex=False, **found.columns)
    predictions.follow_instance(conn, ticket, after, now=now)
    return after


def _entries(ticket: Ticket, after: Ticket, found: Reconciled) -> Iterator[events.NewEntry]:
    """The timeline entries of the result."""
    if found.turned_back:
        yield events.NewEntry(ticket.id, turned_back_told(ticket))
    if changes := changes_of(ticket, after, found.taken):
        yield events.NewEntry(ticket.id, f"Updated from {ticket.sn_number}:", changes)
    if found.asked:
        names = ", ".join(label_of(name) for name in found.asked)
        text = f"Conflict with {ticket.sn_number}: {names}. Choose the value to use."
        yield events.NewEntry(ticket.id, text)


def turned_back_told(ticket: Ticket) -> str:
    return (
        f"{ticket.sn_number} went back to an earlier version in ServiceNow. A backup may have been "
        "restored, or the incident was created again. The app compared both sides again."
    )


def release(conn: DbConnection, ticket: Ticket, *, now: datetime) -> None:
    """Release an update that a conflict had blocked."""
    waiting = outbox.find_update(conn, ticket.id)
    if waiting is not None and waiting.state is OutboxState.BLOCKED:
        outbox.revive(conn, waiting.id, now=now, solved=True)


def shown(ticket: Ticket, name: str) -> str:
    """The label of a field's value, with secrets hidden."""
    if name == "assignment_group" and ticket.assignment_group_name:
        return ticket.assignment_group_name
    return masked(str(getattr(ticket, name) or "none"))
