"""Tickets: create, read, list, change. Every change adds a timeline entry."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Engine

from app.copilot.secrets.redact import masked
from app.db import events, search, suggestions, tickets
from app.db.engine import reading, utc_now, writing
from app.db.ticket_columns import Changes, as_changes
from app.db.tickets import COUNT_CAP, SORTS
from app.errors import NotAllowed, NotFound
from app.models.accounts import Role, User
from app.models.conflicts import SYNCED
from app.models.form_basis import Basis
from app.models.tickets import (
    EventKind,
    MaskedEvent,
    MaskedTicket,
    NewTicket,
    NotePush,
    Ticket,
    TicketEvent,
)
from app.models.views import TicketDetail, TicketFilter, TicketPage
from app.services import privacy
from app.services.copilot.service import CopilotService
from app.services.copilot.triage import TriageService
from app.services.tickets.changes import Pairs, check_change, edited, tidied
from app.services.tickets.edit_conflict import edit_conflict
from app.services.tickets.intake import TicketIntake

PAGE_SIZE = 25
# The same note by the same person within this time is a double click.
SAME_NOTE = timedelta(seconds=10)


class PushQueue(Protocol):
    """What the ticket service needs of the ServiceNow sync."""

    def groups(self) -> Pairs: ...
    def enqueue_update(self, conn: Connection, ticket: Ticket, *, by: str) -> None: ...
    def enqueue_note(
        self, conn: Connection, ticket: Ticket, note: TicketEvent, *, by: str
    ) -> None: ...
    def wake(self) -> None: ...


class TicketService:
    """Tickets and their notes. Every method is one transaction without network calls."""

    def __init__(
        self,
        engine: Engine,
        *,
        copilot: CopilotService,
        triage: TriageService,
        pushes: PushQueue,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._copilot = copilot
        self._triage = triage
        self._opening = TicketIntake(engine, copilot=copilot, triage=triage, now=now)
        self._pushes = pushes
        self._now = now

    def create(
        self, wanted: NewTicket, *, by: User, idempotency_key: str = ""
    ) -> tuple[MaskedTicket, bool]:
        """Create a ticket and triage it; returns it and whether it is new.

        The same idempotency key with the same content returns the same ticket. Raises Conflict
        for the key with other content, Invalid for an unknown value.
        """
        ticket, new = self._opening.open(wanted, by=by, idempotency_key=idempotency_key)
        return privacy.masked_ticket(ticket), new

    def get(self, ticket_id: int, viewer: User) -> MaskedTicket:
        """The ticket, its secrets hidden. Raises NotFound, also for another requester's ticket."""
        with reading(self._engine) as conn:
            return privacy.masked_ticket(_visible(tickets.get(conn, ticket_id), viewer))

    def detail(self, ticket_id: int, viewer: User, *, revealed: bool = False) -> TicketDetail:
        """The ticket as its viewer may see it. Raises NotFound.

        `revealed` shows secrets: only after `PrivacyService.reveal` recorded the view.
        """
        agent = viewer.role.may_act_as(Role.AGENT)
        with reading(self._engine) as conn:
            unexplained = _visible(tickets.get(conn, ticket_id), viewer).reasons_pending
        if unexplained:
            self._triage.complete(ticket_id)
        with reading(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            timeline = events.of_ticket(conn, ticket_id, internal=agent)
            steps = suggestions.of_ticket(conn, ticket_id)
            said = self._triage.shown(conn, ticket_id) if agent else ()
            votes = suggestions.votes_of(conn, ticket_id, viewer.email)
        visible = tuple(step for step in steps if agent or step.public)
        texts = privacy.texts_with_secrets if revealed else privacy.masked_texts
        return TicketDetail(
            *texts(ticket, timeline, visible),
            predictions=said,
            votes=votes,
            revealed=revealed,
        )

    def list(self, wanted: TicketFilter, viewer: User, *, sort: str, page: int) -> TicketPage:
        """One page of tickets without long texts; an unknown `sort` means last updated first."""
        wanted = _of_viewer(wanted, viewer)
        sort = sort if sort in SORTS else "updated"
        with reading(self._engine) as conn:
            total = tickets.count(conn, wanted)
            unindexed = search.count_unindexed(conn) if wanted.q else 0
            capped = total > COUNT_CAP
            pages = max(1, -(-total // PAGE_SIZE))
            page = max(page, 1) if capped else min(max(page, 1), pages)
            found = tickets.page(
                conn,
                wanted,
                sort=sort,
                limit=PAGE_SIZE + 1,
                offset=min(page - 1, 100_000) * PAGE_SIZE,
                broad=capped,
            )
        if capped and page >= pages:
            pages = page + (len(found) > PAGE_SIZE)
        return TicketPage(
            tickets=tuple(map(privacy.in_a_list, found[:PAGE_SIZE])),
            wanted=wanted,
            sort=sort,
            page=page,
            pages=pages,
            total=min(total, COUNT_CAP),
            capped=capped,
            unindexed=unindexed,
        )

    def after(
        self, wanted: TicketFilter, viewer: User, *, last: int | None, limit: int
    ) -> tuple[tuple[MaskedTicket, ...], int | None]:
        """The tickets after the cursor `last`, newest first, and the next cursor or None."""
        with reading(self._engine) as conn:
            found = tickets.after(conn, _of_viewer(wanted, viewer), last=last, limit=limit + 1)
        more = len(found) > limit
        shown = tuple(map(privacy.masked_ticket, found[:limit]))
        return shown, found[limit - 1].id if more else None

    def agents(self) -> tuple[str, ...]:
        """The e-mail addresses that a ticket can be assigned to."""
        with reading(self._engine) as conn:
            return tickets.assignable(conn)

    def change(
        self,
        ticket_id: int,
        changes: Mapping[str, Any],
        *,
        by: User,
        basis: Basis | None = None,
    ) -> MaskedTicket:
        """Change fields; with `basis`, the values a form showed, only those that differ from it.

        Resolving or closing requires a resolution code and notes. Raises NotFound, NotAllowed
        for requesters, Invalid, and Conflict if another person changed the same field since the
        form was shown.
        """
        if not by.role.may_act_as(Role.AGENT):
            _ = self.get(ticket_id, by)
            raise NotAllowed("Only agents can change tickets.")
        groups = self._pushes.groups()
        with writing(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id, for_update=True)
            own = basis.own(changes) if basis else changes
            if basis:
                _check_contested(conn, ticket, own, basis)
            new = self._triage.completed(conn, ticket, tidied(own, groups))
            new = privacy.as_written(new, ticket)
            check_change(conn, ticket, new, categories=self._copilot.categories())
            changed = as_changes({n: v for n, v in new.items() if getattr(ticket, n) != v})
            if not changed:
                return privacy.masked_ticket(ticket)
            after = self._write(conn, ticket, changed, by=by)
        self._pushes.wake()
        return privacy.masked_ticket(after)

    def _write(self, conn: Connection, ticket: Ticket, changed: Changes, *, by: User) -> Ticket:
        now = self._now()
        after = tickets.change(conn, ticket, now=now, **changed)
        if after.status is not ticket.status:
            self._tell(conn, EventKind.STATUS, ticket, after, ("status",), by=by)
        if fields := edited(changed):
            self._tell(conn, EventKind.EDIT, ticket, after, fields, by=by)
        self._triage.follow(conn, ticket, after, by=by.email)
        if after.linked and any(name in SYNCED for name in changed):
            self._pushes.enqueue_update(conn, after, by=by.email)
        return after

    def _tell(
        self,
        conn: Connection,
        kind: EventKind,
        before: Ticket,
        after: Ticket,
        names: Iterable[str],
        *,
        by: User,
    ) -> None:
        """Add a timeline entry: status changes for everyone, other changes for agents."""
        events.add(
            conn,
            after.id,
            kind,
            "",
            author=by.email,
            internal=kind is not EventKind.STATUS,
            now=self._now(),
            changes=privacy.changes_of(before, after, names),
        )

    def add_note(
        self, ticket_id: int, body: str, *, internal: bool, by: User, push: bool | None = None
    ) -> MaskedEvent:
        """Add a comment, which the requester sees, or an internal note.

        `push` is the choice "Also send": None if it was not offered. True queues the note now, or
        after linking. None queues an internal note of a linked ticket now; False never sends it.
        All other notes are sent with the next "Sync status to ServiceNow".
        """
        agent = by.role.may_act_as(Role.AGENT)
        if internal and not agent:
            raise NotAllowed("Only agents can write internal notes.")
        kind = EventKind.INTERNAL_NOTE if internal else EventKind.COMMENT
        now = self._now()
        with writing(self._engine) as conn:
            ticket = _visible(tickets.get(conn, ticket_id, for_update=True), by)
            since = now - SAME_NOTE
            same = events.find_note(conn, ticket_id, kind, author=by.email, body=body, since=since)
            if same:
                return privacy.masked_event(same)
            when = _when_to_push(ticket, internal=internal, push=push if agent else None)
            note = events.add(
                conn,
                ticket_id,
                kind,
                body,
                author=by.email,
                internal=internal,
                now=now,
                push=when,
            )
            suggestions.count_used(conn, ticket_id, body, way="note", now=now)
            tickets.touch(conn, ticket_id, now=now)
            if ticket.linked and when is NotePush.NOW:
                self._pushes.enqueue_note(conn, ticket, note, by=by.email)
        self._pushes.wake()
        return privacy.masked_event(note)


def _visible(ticket: Ticket, viewer: User) -> Ticket:
    if viewer.role.may_act_as(Role.AGENT) or ticket.requester_email == viewer.email:
        return ticket
    raise NotFound(f"Ticket {ticket.id} was not found.")


def _of_viewer(wanted: TicketFilter, viewer: User) -> TicketFilter:
    if viewer.role.may_act_as(Role.AGENT):
        return wanted
    return TicketFilter(
        status=wanted.status,
        priority=wanted.priority,
        category=wanted.category,
        q=wanted.q,
        requester=viewer.email,
    )


def _when_to_push(ticket: Ticket, *, internal: bool, push: bool | None) -> NotePush:
    if push or (ticket.linked and internal and push is None):
        return NotePush.NOW
    return NotePush.NEVER if internal and push is False else NotePush.LATER


def _check_contested(
    conn: Connection, ticket: Ticket, own: Mapping[str, Any], basis: Basis
) -> None:
    """Raises Conflict for fields that another person changed as well."""
    now = {name: getattr(ticket, name) for name in own}
    contested = basis.contested(own, now, shown=masked)
    if not contested:
        return
    now["assignment_group"] = ticket.assignment_group_name or ticket.assignment_group
    told = {name: getattr(now[name], "label", now[name]) for name in contested}
    change = events.last_change(conn, ticket.id, contested)
    who = (change.author or "ServiceNow") if change else "Someone else"
    raise edit_conflict("ticket", who, told)
