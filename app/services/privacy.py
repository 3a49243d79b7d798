"""Masking of secrets in tickets, and the audited view that shows them.

The database stores the original texts. Every output of a ticket goes through this module: pages,
JSON and exports by `TicketService`, pushes and previews by `services/servicenow`. Only agents can
show secrets, with `reveal`, which adds a timeline entry.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from app.copilot.html_text import as_text
from app.copilot.secrets.redact import masked, secrets_in, unmasked
from app.db import events, tickets
from app.db.engine import utc_now, writing
from app.db.ticket_columns import Changes, as_changes
from app.errors import NotAllowed
from app.models.accounts import Role, User
from app.models.characters import plain
from app.models.servicenow import Incident, MaskedIncident
from app.models.tickets import (
    EventKind,
    MaskedEvent,
    MaskedStep,
    MaskedTicket,
    Suggestion,
    Ticket,
    TicketChange,
    TicketEvent,
)

# Views by the same person within this time share one timeline entry.
SAME_LOOK = timedelta(minutes=10)
TEXTS = ("subject", "description", "resolution_notes")
Texts = tuple[MaskedTicket, tuple[MaskedEvent, ...], tuple[MaskedStep, ...]]
SHOWN = "{} viewed the secrets on this ticket."


def masked_ticket(ticket: Ticket) -> MaskedTicket:
    """The ticket with its secrets hidden and counted; an HTML description becomes text."""
    written = plain_ticket(ticket)
    notes = written.resolution_notes
    texts = (written.subject, written.description, notes or "")
    hidden = sum(len(secrets_in(text)) for text in texts)
    if not hidden:
        return MaskedTicket(written)
    return MaskedTicket(
        replace(
            written,
            subject=masked(written.subject),
            description=masked(written.description),
            resolution_notes=masked(notes) if notes else notes,
            hidden=hidden,
        )
    )


def plain_ticket(ticket: Ticket) -> Ticket:
    """The ticket with its secrets, without HTML tags and misleading characters."""
    notes = ticket.resolution_notes
    texts = (
        plain(ticket.subject),
        readable(ticket.description),
        plain(notes) if notes else notes,
    )
    if texts == (ticket.subject, ticket.description, notes):
        return ticket
    subject, description, notes = texts
    return replace(ticket, subject=subject, description=description, resolution_notes=notes)


def readable(text: str) -> str:
    """A long text for display: HTML becomes text, misleading characters are removed."""
    return plain(as_text(text))


def in_a_list(ticket: Ticket) -> MaskedTicket:
    """A ticket for a list: its subject masked, without the long texts."""
    shown = replace(ticket, subject=masked(ticket.subject), description="", resolution_notes=None)
    return MaskedTicket(shown)


def masked_event(event: TicketEvent) -> MaskedEvent:
    """The timeline entry with its secrets hidden and counted."""
    event = plain_event(event)
    if hidden := len(secrets_in(event.text)):
        changes = _each(event, masked)
        event = replace(event, body=masked(event.body), changes=changes, hidden=hidden)
    return MaskedEvent(event)


def plain_event(event: TicketEvent) -> TicketEvent:
    """The timeline entry with its secrets, without HTML tags and misleading characters."""
    shown = replace(event, body=readable(event.body), changes=_each(event, plain))
    return event if shown == event else shown


def _each(event: TicketEvent, show: Callable[[str], str]) -> tuple[TicketChange, ...]:
    return tuple(
        replace(one, before=one.before and show(one.before), after=one.after and show(one.after))
        for one in event.changes
    )


def masked_incident(incident: Incident) -> MaskedIncident:
    """The incident with its secrets hidden."""
    return MaskedIncident(
        incident._replace(
            short_description=masked(incident.short_description),
            description=masked(as_text(incident.description)),
        )
    )


def masked_steps(steps: Iterable[Suggestion]) -> tuple[MaskedStep, ...]:
    return tuple(MaskedStep(replace(step, text=masked(step.text))) for step in steps)


def masked_texts(
    ticket: Ticket, timeline: Iterable[TicketEvent], steps: Iterable[Suggestion]
) -> Texts:
    """The texts of a ticket's page with secrets hidden."""
    return masked_ticket(ticket), tuple(map(masked_event, timeline)), masked_steps(steps)


def texts_with_secrets(
    ticket: Ticket, timeline: Iterable[TicketEvent], steps: Iterable[Suggestion]
) -> Texts:
    """Texts with secrets, for *Show secrets*; `show_secrets` records the view first."""
    entries = tuple(MaskedEvent(plain_event(event)) for event in timeline)
    return MaskedTicket(plain_ticket(ticket)), entries, tuple(map(MaskedStep, steps))


def as_written(changes: Changes, ticket: Ticket) -> Changes:
    """Changes with placeholders replaced by the secrets that they hid on the page."""
    shown, plainly = masked_ticket(ticket), plain_ticket(ticket)
    values: Mapping[str, Any] = changes
    found = {}
    for name in TEXTS:
        if text := values.get(name):
            same = text in (getattr(shown, name), getattr(plainly, name))
            before = getattr(plainly, name) or ""
            found[name] = getattr(ticket, name) if same else unmasked(text, before)
    return changes | as_changes(found)


def changes_of(before: Ticket, after: Ticket, names: Iterable[str]) -> tuple[TicketChange, ...]:
    """The values of these fields before and after, masked and shortened for the timeline."""
    return tuple(TicketChange(one, _in_short(before, one), _in_short(after, one)) for one in names)


def _in_short(ticket: Ticket, name: str) -> str:
    value = getattr(ticket, name)
    if name == "assignment_group":
        value = ticket.assignment_group_name or value
    text = masked("" if value is None else str(value))
    return text if len(text) <= 80 else text[:79] + "…"


class PrivacyService:
    """Records who viewed the secrets of a ticket."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now

    def show_secrets(self, ticket_id: int, *, by: User) -> None:
        """Record in the timeline, visible to the requester, that `by` views the secrets.

        Raises NotFound, and NotAllowed for requesters.
        """
        if not by.role.may_act_as(Role.AGENT):
            raise NotAllowed("Only agents can show secrets.")
        now = self._now()
        kind, told = EventKind.REVEALED, SHOWN.format(by.email)
        with writing(self._engine) as conn:
            tickets.get(conn, ticket_id, for_update=True)
            since = now - SAME_LOOK
            if events.exists_since(conn, ticket_id, kind, author=by.email, since=since):
                return
            events.add(conn, ticket_id, kind, told, author=by.email, internal=False, now=now)
