"""What readers and far sides get of a ticket: secrets hidden, and shown to whoever answers for it.

The database keeps what people wrote. Every way out of a ticket goes through here: pages, JSON and
exports by `TicketService`, pushes and previews by `services/servicenow`. Only `reveal` shows a
ticket as it was written, to agents, and it is told in the timeline.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.copilot.html_text import as_text
from app.copilot.secrets.redact import masked, secrets_in, unmasked
from app.db import events, tickets
from app.db.engine import utc_now, writing
from app.errors import NotAllowed
from app.models.accounts import Role, User
from app.models.characters import plain
from app.models.servicenow import Incident
from app.models.tickets import EventKind, Suggestion, Ticket, TicketChange, TicketEvent
from app.models.views import TicketDetail

# Looking again so soon is told once.
SAME_LOOK = timedelta(minutes=10)
TEXTS = ("subject", "description", "resolution_notes")
SHOWN = "Hidden text of this ticket was shown to {}."


def masked_ticket(ticket: Ticket) -> Ticket:
    """The ticket with the secrets of its texts hidden, and how many they were.

    A description that is an HTML mail is shown as its text.
    """
    written = plain_ticket(ticket)
    notes = written.resolution_notes
    texts = (written.subject, written.description, notes or "")
    hidden = sum(len(secrets_in(text)) for text in texts)
    if not hidden:
        return written
    return replace(
        written,
        subject=masked(written.subject),
        description=masked(written.description),
        resolution_notes=masked(notes) if notes else notes,
        hidden=hidden,
    )


def plain_ticket(ticket: Ticket) -> Ticket:
    """The ticket as it was written, but for tags and for characters that only mislead."""
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
    """A long text as people read it: an HTML mail as its words."""
    return plain(as_text(text))


def in_a_list(ticket: Ticket) -> Ticket:
    """A ticket as a list of them shows it: its subject masked, its long texts left out."""
    return replace(ticket, subject=masked(ticket.subject), description="", resolution_notes=None)


def masked_event(event: TicketEvent) -> TicketEvent:
    """The entry with the secrets of its text hidden, and how many they were."""
    event = plain_event(event)
    if hidden := len(secrets_in(event.text)):
        return replace(event, body=masked(event.body), changes=_each(event, masked), hidden=hidden)
    return event


def plain_event(event: TicketEvent) -> TicketEvent:
    """The entry as it was written, but for tags and for characters that only mislead."""
    shown = replace(event, body=readable(event.body), changes=_each(event, plain))
    return event if shown == event else shown


def _each(event: TicketEvent, show: Callable[[str], str]) -> tuple[TicketChange, ...]:
    return tuple(
        replace(one, before=one.before and show(one.before), after=one.after and show(one.after))
        for one in event.changes
    )


def masked_incident(incident: Incident) -> Incident:
    """The incident with the secrets of its texts hidden: they are as often theirs as ours."""
    return incident._replace(
        short_description=masked(incident.short_description),
        description=masked(as_text(incident.description)),
    )


def masked_steps(steps: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    return tuple(replace(step, text=masked(step.text)) for step in steps)


def masked_detail(detail: TicketDetail) -> TicketDetail:
    """The ticket, its timeline and its steps with their secrets hidden."""
    return replace(
        detail,
        ticket=masked_ticket(detail.ticket),
        events=tuple(map(masked_event, detail.events)),
        suggestions=masked_steps(detail.suggestions),
    )


def plain_detail(detail: TicketDetail) -> TicketDetail:
    """The ticket and its timeline with their secrets shown."""
    return replace(
        detail,
        ticket=plain_ticket(detail.ticket),
        events=tuple(map(plain_event, detail.events)),
    )


def as_written(changes: Mapping[str, str | None], ticket: Ticket) -> dict[str, str]:
    """The changed texts whose placeholders hide what they hid on the page: nothing is lost."""
    shown, plainly = masked_ticket(ticket), plain_ticket(ticket)
    found = {}
    for name in TEXTS:
        if text := changes.get(name):
            same = text in (getattr(shown, name), getattr(plainly, name))
            before = getattr(plainly, name) or ""
            found[name] = getattr(ticket, name) if same else unmasked(text, before)
    return found


def changes_of(before: Ticket, after: Ticket, names: Iterable[str]) -> tuple[TicketChange, ...]:
    """These fields as the timeline keeps them, before and after."""
    return tuple(TicketChange(one, _in_short(before, one), _in_short(after, one)) for one in names)


def _in_short(ticket: Ticket, name: str) -> str:
    value = getattr(ticket, name)
    if name == "assignment_group":
        value = ticket.assignment_group_name or value
    text = masked("" if value is None else str(value))
    return text if len(text) <= 80 else text[:79] + "…"


class PrivacyService:
    """Writes down who looked at what was hidden."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now

    def reveal(self, ticket_id: int, *, by: User) -> None:
        """Tell in the timeline, where the requester reads it too, that `by` sees the ticket bare.

        Raises NotFound, and NotAllowed for requesters.
        """
        if not by.role.may_act_as(Role.AGENT):
            raise NotAllowed("Only agents may see hidden text.")
        now = self._now()
        kind, told = EventKind.REVEALED, SHOWN.format(by.email)
        with writing(self._engine) as conn:
            tickets.get(conn, ticket_id, for_update=True)
            since = now - SAME_LOOK
            if events.exists_since(conn, ticket_id, kind, author=by.email, since=since):
                return
            events.add(conn, ticket_id, kind, told, author=by.email, internal=False, now=now)
