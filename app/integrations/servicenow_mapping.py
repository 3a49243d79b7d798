"""Translation between tickets and incidents: values in, values out, choices as tables."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import Kind, ServiceNowRejected
from app.models import (
    Incident,
    JournalEntry,
    Priority,
    Suggestion,
    Ticket,
    TicketStatus,
)

Record = Mapping[str, str]

# What every read of incidents asks for. Names of references come by dot-walk, in the same call.
FIELDS = (
    "sys_id",
    "number",
    "short_description",
    "description",
    "state",
    "priority",
    "impact",
    "urgency",
    "category",
    "assignment_group",
    "assignment_group.name",
    "caller_id",
    "caller_id.name",
    "caller_id.email",
    "assigned_to",
    "assigned_to.name",
    "assigned_to.email",
    "close_code",
    "close_notes",
    "hold_reason",
    "correlation_id",
    "opened_at",
    "sys_updated_on",
    "sys_mod_count",
)
SHORT_DESCRIPTION_LENGTH = 160
DISPLAY = "Smart IT Copilot"
DEFAULT_CATEGORY = "software"
BASE_CATEGORIES = ("inquiry", "software", "hardware", "network", "database")
AWAITING_CALLER = "1"
CANCELED = "8"
CLOSED = "7"

STATE_OF_STATUS = {
    TicketStatus.OPEN: "1",
    TicketStatus.IN_PROGRESS: "2",
    TicketStatus.PENDING: "3",
    TicketStatus.RESOLVED: "6",
    TicketStatus.CLOSED: "7",
}
STATUS_OF_STATE = {state: status for status, state in STATE_OF_STATUS.items()} | {
    CANCELED: TicketStatus.CLOSED
}
STATE_LABELS = {
    "1": "New",
    "2": "In Progress",
    "3": "On Hold",
    "6": "Resolved",
    "7": "Closed",
    "8": "Canceled",
}
PRIORITY_LABELS = {
    "1": "1 - Critical",
    "2": "2 - High",
    "3": "3 - Moderate",
    "4": "4 - Low",
    "5": "5 - Planning",
}
# ServiceNow derives its own priority from impact and urgency; (3, 3) would be 5 Planning.
IMPACT_URGENCY = {
    Priority.URGENT: ("1", "1"),
    Priority.HIGH: ("2", "1"),
    Priority.MEDIUM: ("2", "2"),
    Priority.LOW: ("3", "2"),
}
THEIR_PRIORITY = {
    Priority.URGENT: "1",
    Priority.HIGH: "2",
    Priority.MEDIUM: "3",
    Priority.LOW: "4",
}
OUR_PRIORITY = {
    "1": Priority.URGENT,
    "2": Priority.HIGH,
    "3": Priority.MEDIUM,
    "4": Priority.LOW,
    "5": Priority.LOW,
}
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
    correlation_id = f"sic-{installation}-{ticket_id}-{generation}"
    digest = hashlib.sha256(correlation_id.encode()).hexdigest()
    return CreateKeys(sys_id=digest[:32], correlation_id=correlation_id)


def note_reference(installation: str, event_id: int) -> str:
    """A short mark in a note, by which it is found again in the journal."""
    digest = hashlib.sha256(f"{installation}-{event_id}".encode()).hexdigest()
    return f"[ref sic-{event_id}-{digest[:8]}]"


def note_text(body: str, *, reference: str, link_back: str) -> str:
    """A note as it is sent: the text, then a link to the ticket and the mark to find it by."""
    return f"{defused(body)}\n\n{link_back} {reference}".strip().replace("\n\n ", "\n\n")


def defused(text: str) -> str:
    """`[code]` would let foreign text render as HTML in a journal; the space breaks it."""
    return CODE_TAG.sub(r"[ \1code]", text)


def short_description(subject: str) -> str:
    """At most 160 characters, cut with an ellipsis."""
    line = " ".join(defused(subject).split())
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
    """Numbered steps, each with the title of the article it rests on."""
    return "\n".join(
        f"{number}. {step.text} (Source: {step.source_title})"
        for number, step in enumerate(suggestions, start=1)
    )


def suggestions_note(suggestions: Sequence[Suggestion]) -> str:
    """The work note offered on a ticket; it says that it is AI-assisted."""
    return f"AI-assisted suggestions from {DISPLAY}:\n{suggestion_lines(suggestions)}"


def their_category(category: str | None, known: Iterable[str]) -> str:
    """The category to send: ours where the instance has it, else software."""
    choices = tuple(known) or BASE_CATEGORIES
    return category if category in choices else DEFAULT_CATEGORY


def priority_fields(priority: Priority | None) -> dict[str, str]:
    """Impact and urgency that yield the priority, and the priority itself; none when unknown."""
    if priority is None:
        return {}
    impact, urgency = IMPACT_URGENCY[priority]
    return {"impact": impact, "urgency": urgency, "priority": THEIR_PRIORITY[priority]}


def state_fields(ticket: Ticket, close_code: str | None) -> dict[str, str]:
    """State, with close data in the same write for ended tickets and a hold reason for pending."""
    fields = {"state": STATE_OF_STATUS[ticket.status]}
    if ticket.status.ended:
        notes = ticket.resolution_notes or ticket.resolution_code or ticket.status.label
        fields |= {"close_code": close_code or "", "close_notes": defused(notes)}
    if ticket.status is TicketStatus.PENDING:
        fields["hold_reason"] = AWAITING_CALLER
    return fields


def create_payload(
    ticket: Ticket,
    *,
    keys: CreateKeys,
    suggestions: Sequence[Suggestion],
    people: People,
    assignment_group: str,
    categories: Iterable[str],
    close_code: str | None,
    link_back: str,
) -> dict[str, str]:
    """Everything a new incident is told; empty references are left out."""
    notes = [f"Copilot Ticket ID: {ticket.id}", link_back, *people.notes]
    fields = {
        "sys_id": keys.sys_id,
        "correlation_id": keys.correlation_id,
        "correlation_display": DISPLAY,
        "short_description": short_description(ticket.subject),
        "description": description(ticket, suggestions),
        "category": their_category(ticket.effective_category, categories),
        "caller_id": people.caller,
        "assigned_to": people.assigned_to,
        "assignment_group": assignment_group,
        "work_notes": "\n".join(note for note in notes if note),
    }
    fields |= priority_fields(ticket.effective_priority) | state_fields(ticket, close_code)
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


def parse_stamp(text: str) -> datetime:
    """`YYYY-MM-DD HH:MM:SS` in UTC, as raw values are. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def format_stamp(moment: datetime) -> str:
    """A moment as an encoded query compares it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def incident_from_record(record: Record) -> Incident:
    """One incident as values. Raises ServiceNowRejected naming the field that cannot be read."""
    try:
        opened = record.get("opened_at", "")
        return Incident(
            sys_id=record["sys_id"],
            number=record["number"],
            short_description=record.get("short_description", ""),
            description=record.get("description", ""),
            state=record.get("state", ""),
            priority=record.get("priority", ""),
            category=record.get("category", ""),
            assignment_group=record.get("assignment_group", ""),
            assignment_group_name=record.get("assignment_group.name", ""),
            caller=record.get("caller_id", ""),
            caller_name=record.get("caller_id.name", ""),
            caller_email=record.get("caller_id.email", ""),
            assigned_to=record.get("assigned_to", ""),
            assigned_to_name=record.get("assigned_to.name", ""),
            assigned_to_email=record.get("assigned_to.email", ""),
            close_code=record.get("close_code", ""),
            close_notes=record.get("close_notes", ""),
            correlation_id=record.get("correlation_id", ""),
            opened_at=parse_stamp(opened) if opened else None,
            updated_at=parse_stamp(record["sys_updated_on"]),
            mod_count=int(record.get("sys_mod_count") or 0),
        )
    except (KeyError, ValueError) as exc:
        raise ServiceNowRejected(
            f"ServiceNow sent an incident that cannot be read: {exc}",
            kind=Kind.UNEXPECTED,
            hint="Check that the integration account may read this field.",
        ) from exc


def journal_entry(record: Record) -> JournalEntry:
    """One row of sys_journal_field."""
    stamp = record.get("sys_created_on", "")
    return JournalEntry(
        element=record.get("element", ""),
        author=record.get("sys_created_by", ""),
        body=record.get("value", ""),
        created_at=parse_stamp(stamp) if stamp else None,
    )


def ticket_values(record: Record) -> dict[str, str | None]:
    """What an incident says about a ticket; an unknown state or priority says nothing (None)."""
    state = record.get("state", "")
    status = STATUS_OF_STATE.get(state)
    ended = status is not None and status.ended
    code = "Canceled" if state == CANCELED else record.get("close_code")
    return {
        "subject": record.get("short_description") or record.get("number"),
        "status": status,
        "priority": OUR_PRIORITY.get(record.get("priority", "")),
        "category": record.get("category") or None,
        "assignee": record.get("assigned_to.email", "").casefold() or None,
        "resolution_code": (code or None) if ended else None,
        "resolution_notes": (record.get("close_notes") or None) if ended else None,
    }


def state_of(text: str) -> str:
    """The state value for a label or a value; "" for an unknown one."""
    wanted = text.strip().casefold()
    for value, label in STATE_LABELS.items():
        if wanted in (value, label.casefold(), label.casefold().replace(" ", "_")):
            return value
    return wanted if re.fullmatch(r"-?[0-9]{1,4}", wanted) else ""
