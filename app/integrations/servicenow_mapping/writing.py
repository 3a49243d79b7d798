"""What an incident is told about a ticket."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.integrations.servicenow_mapping.maps import Maps
from app.integrations.servicenow_mapping.words import (
    AWAITING_CALLER,
    IMPACT_URGENCY,
)
from app.models import Priority, Suggestion, Ticket, TicketStatus
from app.models.characters import plain

SHORT_DESCRIPTION_LENGTH = 160
DISPLAY = "Smart IT Copilot"
DEFAULT_CATEGORY = "software"
BASE_CATEGORIES = ("inquiry", "software", "hardware", "network", "database")
REFERENCE = re.compile(r"\[ref sic-([0-9]{1,18})-[0-9a-f]{8}\]")
KEY_MARK = "sic-"
TICKET_MARK = "Copilot Ticket ID:"
CODE_TAG = re.compile(r"\[(/?)code\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CreateKeys:
    """What makes a create recognisable: a `sys_id` of our choosing and a correlation id."""

    sys_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class People:
    """sys_ids found on the instance for a ticket, and what could not be found."""

    caller: str = ""
    assigned_to: str = ""
    notes: tuple[str, ...] = ()


def create_keys(installation: str, ticket_id: int, generation: int) -> CreateKeys:
    """Stable keys of one ticket's incident; another generation is another incident."""
    correlation_id = f"{KEY_MARK}{installation}-{ticket_id}-{generation}"
    digest = hashlib.sha256(correlation_id.encode()).hexdigest()
    return CreateKeys(sys_id=digest[:32], correlation_id=correlation_id)


def is_our_create(record: Mapping[str, str]) -> bool:
    """Whether an incident was created from a ticket, here or in another installation."""
    return record.get("correlation_id", "").startswith(KEY_MARK)


def note_reference(installation: str, event_id: int) -> str:
    """A short mark in a note, by which it is found again in the journal."""
    digest = hashlib.sha256(f"{installation}-{event_id}".encode()).hexdigest()
    return f"[ref sic-{event_id}-{digest[:8]}]"


def referenced_event(installation: str, text: str) -> int | None:
    """The id of our own note that this text is, by its mark; None for what others wrote."""
    for found in REFERENCE.finditer(text):
        event_id = int(found[1])
        if found[0] == note_reference(installation, event_id):
            return event_id
    return None


def is_note_of_create(text: str, ticket_id: int) -> bool:
    """Whether this is the work note that came with our own create."""
    return text.startswith(f"{TICKET_MARK} {ticket_id}\n") or text == f"{TICKET_MARK} {ticket_id}"


def note_text(body: str, *, reference: str, link_back: str) -> str:
    """A note as it is sent: the text, then a link to the ticket and the mark to find it by."""
    return f"{defused(body)}\n\n{link_back} {reference}".strip().replace("\n\n ", "\n\n")


def defused(text: str) -> str:
    """`[code]` would let foreign text render as HTML in a journal; the space breaks it."""
    return CODE_TAG.sub(r"[ \1code]", text)


def short_description(subject: str) -> str:
    """At most 160 characters, cut with an ellipsis, none of them misleading."""
    line = " ".join(defused(plain(subject)).split())
    if len(line) <= SHORT_DESCRIPTION_LENGTH:
        return line
    return line[: SHORT_DESCRIPTION_LENGTH - 1].rstrip() + "…"


def description(ticket: Ticket, suggestions: Sequence[Suggestion]) -> str:
    """The ticket's text, its whole subject when that was cut, and the suggested steps."""
    parts = [defused(ticket.description)]
    if len(" ".join(ticket.subject.split())) > SHORT_DESCRIPTION_LENGTH:
        parts.insert(0, f"Subject: {defused(ticket.subject)}")
    if suggestions:
        parts.append("AI Suggestions\n" + suggestion_lines(suggestions))
    return "\n\n".join(part for part in parts if part)


def suggestion_lines(suggestions: Iterable[Suggestion]) -> str:
    """Numbered steps, each with the number of its source, and the sources under them."""
    steps = tuple(suggestions)
    titles = list(dict.fromkeys(step.source_title for step in steps))
    lines = [
        f"{number}. {step.text} [{titles.index(step.source_title) + 1}]"
        for number, step in enumerate(steps, start=1)
    ]
    sources = [f"[{number}] {title}" for number, title in enumerate(titles, start=1)]
    return "\n".join([*lines, "Sources (AI-assisted, please check):", *sources])


def suggestions_note(suggestions: Sequence[Suggestion]) -> str:
    """The work note offered on a ticket; it says that it is AI-assisted."""
    return f"AI-assisted suggestions from {DISPLAY}:\n{suggestion_lines(suggestions)}"


def their_category(category: str | None, known: Iterable[str], maps: Maps) -> str:
    """The category to send: as mapped, where the instance has it, else software."""
    choices = tuple(known) or BASE_CATEGORIES
    wanted = maps.their_category.get(category or "", category)
    return wanted if wanted in choices else DEFAULT_CATEGORY


def priority_fields(
    priority: Priority | None, maps: Maps, *, severity: tuple[int, int] | None = None
) -> dict[str, str]:
    """Impact and urgency, and the priority itself; none when unknown.

    `severity` is the ticket's own (impact, urgency); without it those that yield the priority.
    """
    theirs = maps.their_priority.get(priority) if priority else None
    if theirs is None:
        return {}
    if severity is None and theirs not in IMPACT_URGENCY:
        return {"priority": theirs}
    impact, urgency = severity or IMPACT_URGENCY[theirs]
    return {"impact": str(impact), "urgency": str(urgency), "priority": theirs}


def state_fields(ticket: Ticket, close_code: str | None, maps: Maps) -> dict[str, str]:
    """State, with close data in the same write for ended tickets and a hold reason for pending."""
    fields = {"state": maps.state_of_status[ticket.status]}
    if ticket.status.ended:
        notes = ticket.resolution_notes or ticket.resolution_code or ticket.status.label
        fields |= {"close_code": close_code or "", "close_notes": defused(notes)}
    if ticket.status is TicketStatus.PENDING:
        fields["hold_reason"] = AWAITING_CALLER
    return fields


def create_payload(
    ticket: Ticket,
    *,
    maps: Maps,
    keys: CreateKeys,
    suggestions: Sequence[Suggestion],
    people: People,
    assignment_group: str,
    categories: Iterable[str],
    close_code: str | None,
    link_back: str,
) -> dict[str, str]:
    """Everything a new incident is told; empty references are left out."""
    notes = [f"{TICKET_MARK} {ticket.id}", link_back, *people.notes]
    fields = {
        "sys_id": keys.sys_id,
        "correlation_id": keys.correlation_id,
        "correlation_display": DISPLAY,
        "short_description": short_description(ticket.subject),
        "description": description(ticket, suggestions),
        "category": their_category(ticket.effective_category, categories, maps),
        "caller_id": people.caller,
        "assigned_to": people.assigned_to,
        "assignment_group": assignment_group,
        "work_notes": "\n".join(note for note in notes if note),
    }
    fields |= priority_fields(ticket.effective_priority, maps, severity=ticket.severity)
    fields |= state_fields(ticket, close_code, maps)
    return {name: value for name, value in fields.items() if value}


def close_code_of(wanted: str | None, known: Sequence[tuple[str, str]], default: str) -> str | None:
    """The instance's close code for ours, matched by value or label; None when none fits.

    `known` are (value, label) pairs; when the instance shows none, ours is sent as it is.
    """
    for candidate in (wanted, default):
        if not candidate:
            continue
        if not known:
            return candidate
        for value, label in known:
            if candidate.casefold() in (value.casefold(), label.casefold()):
                return value
    return None
