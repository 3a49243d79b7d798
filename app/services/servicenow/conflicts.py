"""Conflicts: fields changed in both the ticket and its incident, resolved by an agent."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as DbConnection

from app import errors
from app.copilot.secrets.redact import masked
from app.db import events, incidents, links, predictions, tickets
from app.db.engine import reading, writing
from app.db.ticket_columns import Changes, SyncState, as_changes
from app.integrations.servicenow import mapping
from app.models.conflicts import (
    CLEARABLE,
    RESOLUTION,
    Agreed,
    Conflict,
    ConflictCard,
    Side,
    Values,
)
from app.models.servicenow import OutboxItem
from app.models.tickets import Ticket, label_of
from app.models.views import TicketFilter
from app.services.privacy import changes_of, masked_ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.servicenow.merge.reconcile import agreeing, shown
from app.services.servicenow.push.delivery import Delivery

OURS, THEIRS = "ours", "theirs"
NOT_MAPPED = "Unmapped value"


class Conflicts:
    """Shows and resolves conflicts. Neither side is overwritten before a decision."""

    def __init__(self, context: Context, lookups: Lookups, delivery: Delivery) -> None:
        self._context = context
        self._lookups = lookups
        self._delivery = delivery

    def of(self, ticket_id: int) -> ConflictCard:
        """The conflicts of a ticket, empty for most tickets. Raises NotFound."""
        with reading(self._context.engine) as conn:
            return self._card(conn, tickets.get(conn, ticket_id))

    def count(self) -> int:
        """Number of tickets with a conflict, up to the cap of a list."""
        with reading(self._context.engine) as conn:
            return tickets.count(conn, TicketFilter(conflict=True))

    def resolve(
        self, ticket_id: int, choices: Mapping[str, str], *, by: str, seen: str = ""
    ) -> ConflictCard:
        """Resolve conflicts: "ours" keeps the ticket's value, "theirs" takes ServiceNow's.

        Fields that are left out stay in conflict. `seen` is the digest of the card that was shown.
        Kept values are queued for ServiceNow and sent at once if possible. Raises NotFound, Invalid
        for an invalid choice, and Conflict if there is no conflict or a value changed meanwhile.
        """
        with writing(self._context.engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            card = self._card(conn, ticket)
            _check(card, choices, seen)
            item = self._resolve(conn, ticket, card, choices, by=by)
        if item is not None:
            self._delivery.try_now(item.id)
            self._context.wake()
        return self.of(ticket_id)

    def _resolve(
        self,
        conn: DbConnection,
        ticket: Ticket,
        card: ConflictCard,
        choices: Mapping[str, str],
        *,
        by: str,
    ) -> OutboxItem | None:
        now = self._context.now()
        chosen = [one for one in card.conflicts if one.name in choices]
        taken = [one.name for one in chosen if choices[one.name] == THEIRS]
        left = {n: v for n, v in ticket.sn_conflicts.items() if n not in choices}
        theirs = _their_values(ticket, [one.name for one in chosen])
        columns = Changes()
        for name in taken:
            columns |= self._columns(conn, ticket, name, theirs)
        # ServiceNow no longer has an overwritten value, so taking it sends it again.
        standing = _their_values(ticket, [one.name for one in chosen if not one.overwritten])
        sync: SyncState = {
            "sn_agreed": _agreed(ticket, standing, columns),
            "sn_conflicts": left or None,
            "sn_conflict_since": now if left else None,
        }
        after = tickets.change(conn, ticket, now=now, sync=sync, **columns)
        predictions.follow_instance(conn, ticket, after, now=now)
        text = _told(card, choices, ticket)
        changes = changes_of(ticket, after, taken)
        events.add_event(conn, ticket.id, text, now=now, by=by, changes=changes)
        host = ticket.sn_host or self._context.host
        return links.enqueue_update(conn, after, host=host, by=by, now=now)

    def _columns(
        self, conn: DbConnection, ticket: Ticket, name: str, theirs: Mapping[str, str | None]
    ) -> Changes:
        """The columns for a value taken from ServiceNow. The resolution follows the status."""
        names = (name, *RESOLUTION) if name == "status" else (name,)
        values = {one: theirs[one] for one in names if one == name or theirs.get(one) is not None}
        columns = as_changes(values)
        if name == "priority":
            columns |= {"impact": None, "urgency": None}
        if name == "assignment_group":
            columns["assignment_group_name"] = self._group_name(conn, ticket, theirs[name])
        return columns

    # -- the card ---------------------------------------------------------------------------

    def _card(self, conn: DbConnection, ticket: Ticket) -> ConflictCard:
        if not ticket.sn_conflicts:
            return ConflictCard(masked_ticket(ticket), (), "")
        found = tuple(
            self._conflict(conn, ticket, name, entry) for name, entry in ticket.sn_conflicts.items()
        )
        parts = [f"{one.name}\0{one.ours.value}\0{one.theirs.value}" for one in found]
        digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass"))
        return ConflictCard(masked_ticket(ticket), found, digest.hexdigest()[:16])

    def _conflict(
        self,
        conn: DbConnection,
        ticket: Ticket,
        name: str,
        entry: Mapping[str, str | None],
    ) -> Conflict:
        value = entry.get("theirs")
        said = self._words(conn, ticket, name, value)
        readable = value is not None or name in CLEARABLE
        at = entry.get("at")
        before = {side: ticket.sn_agreed.get(side, {}).get(name) for side in (OURS, THEIRS)}
        agreed = self._words(conn, ticket, name, before[OURS])
        if "overwritten" in entry:
            agreed = self._words(conn, ticket, name, entry["overwritten"])
        elif name not in ticket.sn_agreed.get(OURS, {}):
            agreed = "never"
        elif not mapping.same(name, before[OURS], before[THEIRS]):
            there = self._words(conn, ticket, name, before[THEIRS])
            agreed = f"Ticket: {agreed}. ServiceNow: {there}"
        return Conflict(
            name=name,
            ours=_our_side(conn, masked_ticket(ticket), name),
            theirs=Side(
                masked(value) if value else value,
                said if readable else NOT_MAPPED,
                by=entry.get("by") or "",
                at=mapping.parse_stamp(at) if at else None,
            ),
            agreed=agreed,
            readable=readable,
            overwritten="overwritten" in entry,
        )

    def _words(self, conn: DbConnection, ticket: Ticket, name: str, value: str | None) -> str:
        if name == "assignment_group" and value:
            return self._group_name(conn, ticket, value) or value
        return label_of(value) if name == "status" and value else masked(value or "none")

    def _group_name(self, conn: DbConnection, ticket: Ticket, group: str | None) -> str | None:
        """The group name from the cached incident, else from the cached groups."""
        mirrored = incidents.find(conn, ticket.sn_sys_id or "")
        if mirrored and mirrored.incident.assignment_group == group:
            return mirrored.incident.assignment_group_name or None
        return dict(self._lookups.known_choices("assignment_group")).get(group or "")


def _agreed(ticket: Ticket, standing: Values, columns: Mapping[str, Any]) -> Agreed:
    """The synced values after a decision. `standing` holds the incident's values."""
    taken = {name: columns[name] for name in standing if name in columns}
    agreed = agreeing(
        ticket.sn_agreed,
        ours=links.values_of(ticket) | taken,
        theirs=standing,
        names=tuple(taken),
        seen=ticket.sn_agreed.get("seen", {}),
    )
    # A kept value counts as synced in ServiceNow, so only the ticket has changed since.
    agreed["theirs"] |= standing
    return agreed


def _their_values(ticket: Ticket, names: Sequence[str]) -> dict[str, str | None]:
    """ServiceNow's values of the named conflicts. The resolution follows the status."""
    theirs = {name: ticket.sn_conflicts[name].get("theirs") for name in names}
    if "status" in names:
        entry = ticket.sn_conflicts["status"]
        theirs |= {name: entry[name] for name in RESOLUTION if name in entry}
    return theirs


def _our_side(conn: DbConnection, ticket: Ticket, name: str) -> Side:
    """The ticket's value, with its last change or its opening in the timeline."""
    value, words = getattr(ticket, name), shown(ticket, name)
    wrote = events.last_change(conn, ticket.id, (name,)) or events.opening(conn, ticket.id)
    if wrote is None:
        return Side(value, words)
    return Side(value, words, wrote.author or "", wrote.created_at)


def _check(card: ConflictCard, choices: Mapping[str, str], seen: str) -> None:
    """Validate the choices. Raises Invalid and Conflict."""
    if not card.conflicts:
        raise errors.Conflict("This ticket has no conflicts.")
    if seen and seen != card.seen:
        raise errors.Conflict(
            "A value changed while you were deciding. Nothing was saved.",
            hint="Review the current values and choose again.",
        )
    by_name = {one.name: one for one in card.conflicts}
    wrong = {}
    for name, side in choices.items():
        if name not in by_name:
            wrong[name] = "This field has no conflict."
        elif side == THEIRS and not by_name[name].readable:
            wrong[name] = "The ServiceNow value is not mapped. Map it first."
    if wrong or not choices:
        raise errors.Invalid("Choose a value for at least one field.", fields=wrong)


def _told(card: ConflictCard, choices: Mapping[str, str], ticket: Ticket) -> str:
    """The timeline sentence. It lists kept values only; taken values are recorded as changes."""
    kept = [
        f"{label_of(one.name)} {one.ours.shown} (ServiceNow: {one.theirs.shown})"
        for one in card.conflicts
        if choices.get(one.name) == OURS
    ]
    head = f"Conflict with {ticket.sn_number} resolved."
    return f"{head} Ticket value used: {'; '.join(kept)}." if kept else head
