"""The columns of a ticket, by who writes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from app.models.tickets import TicketStatus


class Changes(TypedDict, total=False):
    """What people and ServiceNow change; a form that is open on the ticket is out of date then."""

    subject: str
    description: str
    status: TicketStatus
    priority: str | None
    impact: int | None
    urgency: int | None
    category: str | None
    assignee: str | None
    assignment_group: str | None
    assignment_group_name: str | None
    resolution_code: str | None
    resolution_notes: str | None


class SyncState(TypedDict, total=False):
    """How the ticket and its incident stand to each other."""

    sn_agreed: Mapping[str, Mapping[str, str | None]]
    sn_conflicts: Mapping[str, Mapping[str, str | None]] | None
    sn_conflict_since: datetime | None
    sn_last_sync_at: datetime
    sn_missing_since: datetime | None
    sn_notice: str | None


class Predicted(TypedDict, total=False):
    """What triage fills in."""

    triaged_at: datetime | None
    triage_model: str | None
    predicted_category: str | None
    category_confidence: float | None
    predicted_priority: str | None
    priority_confidence: float | None
    predicted_impact: int | None
    predicted_urgency: int | None
    reasons_pending: bool


class NewRow(Predicted):
    """A new ticket."""

    subject: str
    description: str
    requester_email: str
    status: TicketStatus
    priority: str | None
    category: str | None
    created_at: datetime
    updated_at: datetime


def as_changes(values: Mapping[str, Any]) -> Changes:
    """Values whose names are known at run time only. Raises KeyError for any other column."""
    if unknown := values.keys() - Changes.__annotations__.keys():
        raise KeyError(*unknown)
    return cast(Changes, dict(values))
