"""Validation of ticket changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from app.db import tickets
from app.db.ticket_columns import Changes, as_changes
from app.errors import Invalid
from app.models.conflicts import RESOLUTION
from app.models.tickets import SUBJECT_LENGTH, Ticket, TicketStatus
from app.services.tickets.intake import check_choices

EDITABLE = (
    "subject",
    "description",
    "priority",
    "impact",
    "urgency",
    "category",
    "assignee",
    "assignment_group",
)
NEEDED = {
    "resolution_code": "Select a resolution code.",
    "resolution_notes": "Enter resolution notes.",
}
# (sys_id, name) of each assignment group.
Pairs = Sequence[tuple[str, str]]


def tidied(changes: Mapping[str, Any], groups: Pairs) -> Changes:
    """The editable fields of `changes`: trimmed, None if empty, a known group with its name."""
    new = {
        name: (value.strip() or None) if isinstance(value, str) else value
        for name, value in changes.items()
        if name in (*EDITABLE, *RESOLUTION, "status")
    }
    if "description" in new:
        new["description"] = new["description"] or ""
    if "assignment_group" in new:
        new |= _group(new["assignment_group"], groups)
    return as_changes(new)


def _group(wanted: str | None, groups: Pairs) -> dict[str, str | None]:
    if wanted is None:
        return {"assignment_group": None, "assignment_group_name": None}
    for sys_id, name in groups:
        if wanted in (sys_id, name):
            return {"assignment_group": sys_id, "assignment_group_name": name}
    return {"assignment_group": wanted}


def check_change(
    conn: Connection, ticket: Ticket, new: Mapping[str, Any], *, categories: tuple[str, ...]
) -> None:
    """Validate changes; values that the ticket already has are accepted.

    Raises Invalid with one message per field.
    """
    check_choices(new, categories)
    if len(new.get("subject") or "") > SUBJECT_LENGTH:
        raise Invalid(
            "The subject is too long.",
            fields={"subject": f"Use at most {SUBJECT_LENGTH} characters."},
        )
    assignee = new.get("assignee")
    if assignee and assignee != ticket.assignee and assignee not in tickets.assignable(conn):
        raise Invalid(
            "This user cannot be assigned.",
            fields={"assignee": "Choose an active agent or administrator."},
        )
    group = new.get("assignment_group")
    if group and group != ticket.assignment_group and "assignment_group_name" not in new:
        raise Invalid(
            "This assignment group does not exist in ServiceNow.",
            fields={"assignment_group": "Choose an active assignment group."},
        )
    status = TicketStatus(new.get("status") or ticket.status)
    if status.ended and not ticket.status.ended:
        missing = {
            name: message
            for name, message in NEEDED.items()
            if not (new[name] if name in new else getattr(ticket, name))
        }
        if missing:
            raise Invalid("Enter how the ticket was resolved.", fields=missing)


def edited(changed: Iterable[str]) -> tuple[str, ...]:
    """The changed fields that share one timeline entry; the status has its own entry."""
    return tuple(name for name in changed if name not in ("status", "assignment_group_name"))
