"""What an incident is told about a ticket."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.integrations.servicenow.mapping.choices import (
    AWAITING_CALLER,
    IMPACT_URGENCY,
)
from app.integrations.servicenow.mapping.maps import Maps
from app.integrations.servicenow.mapping.marks import (
    DISPLAY,
    CreateKeys,
    note_reference,
    ticket_mark,
)
from app.models.characters import plain
from app.models.tickets import MaskedStep, MaskedTicket, Priority, Suggestion, TicketStatus

SHORT_DESCRIPTION_LENGTH = 160
DEFAULT_CATEGORY = "software"
BASE_CATEGORIES = ("inquiry", "software", "hardware", "network", "database")
CODE_TAG = re.compile(r"\[(/?)code\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class People:
    """sys_ids found on the instance for a ticket, and what could not be found."""

    caller: str = ""
    assigned_to: str = ""
    notes: tuple[str, ...] = ()


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


def description(ticket: MaskedTicket, suggestions: Sequence[MaskedStep]) -> str:
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


def suggestions_note(suggestions: Sequence[MaskedStep]) -> str:
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


def state_fields(ticket: MaskedTicket, close_code: str | None, maps: Maps) -> dict[str, str]:
    """State, with close data in the same write for ended tickets and a hold reason for pending."""
    fields = {"state": maps.state_of_status[ticket.status]}
    if ticket.status.ended:
        notes = ticket.resolution_notes or ticket.resolution_code or ticket.status.label
        fields |= {"close_code": close_code or "", "close_notes": defused(notes)}
    if ticket.status is TicketStatus.PENDING:
        fields["hold_reason"] = AWAITING_CALLER
    return fields


def create_payload(  # noqa: PLR0913 What an incident is made of.
    ticket: MaskedTicket,
    *,
    maps: Maps,
    keys: CreateKeys,
    suggestions: Sequence[MaskedStep],
    people: People,
    assignment_group: str,
    categories: Iterable[str],
    close_code: str | None,
    link_back: str,
) -> dict[str, str]:
    """Everything a new incident is told; empty references are left out."""
    notes = [ticket_mark(ticket.id), link_back, *people.notes, note_reference(keys.sys_id)]
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
