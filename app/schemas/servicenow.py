"""JSON of /api/sn. Times are ISO 8601 UTC."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.models.servicenow import JournalEntry, Pause, PushStatus, Rest, Restore
from app.models.views import ConnectionView, IncidentDetails, IncidentRow, LiveIncidents
from app.schemas.tickets import Text


def utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


class CheckOut(BaseModel):
    name: str
    status: Literal["passed", "warning", "failed", "skipped"]
    detail: str
    hint: str


class PauseOut(BaseModel):
    """Who paused sending, when and why."""

    since: datetime
    by: str
    reason: str

    @classmethod
    def of(cls, pause: Pause | None) -> "PauseOut | None":
        return cls.model_validate(pause, from_attributes=True) if pause else None


class RestOut(BaseModel):
    """The open circuit breaker: nothing is sent until `until` after five errors of one kind."""

    since: datetime
    until: datetime
    reason: str
    failures: int

    @classmethod
    def of(cls, rest: Rest | None) -> "RestOut | None":
        return cls.model_validate(rest, from_attributes=True) if rest else None


class RestoreOut(BaseModel):
    """This database was restored or copied, as the incident `number` shows.

    While `held` no incident is created.
    """

    noticed_at: datetime
    number: str
    held: bool
    released_at: datetime | None
    released_by: str | None

    @classmethod
    def of(cls, restore: Restore | None) -> "RestoreOut | None":
        return cls.model_validate(restore, from_attributes=True) if restore else None


class HealthOut(BaseModel):
    """Connection status. Contains no secrets."""

    configured: bool
    connected: bool
    state: str
    missing: list[str]
    instance_url: str | None
    auth_type: str
    read_only: bool
    paused: PauseOut | None
    resting: RestOut | None
    restored: RestoreOut | None
    latency_ms: int | None
    checks: list[CheckOut]
    checked_at: datetime | None
    last_ok_at: datetime | None
    failed_since: datetime | None
    last_error: str | None
    last_error_code: str | None
    hint: str | None

    @classmethod
    def of(cls, view: ConnectionView) -> "HealthOut":
        return cls(
            configured=view.configured,
            connected=view.connected,
            state=view.state,
            missing=list(view.missing),
            instance_url=view.instance_url or None,
            auth_type=view.auth_type,
            read_only=view.read_only,
            paused=PauseOut.of(view.pause),
            resting=RestOut.of(view.rest),
            restored=RestoreOut.of(view.restore),
            latency_ms=view.latency_ms if view.connected else None,
            checks=[CheckOut.model_validate(check, from_attributes=True) for check in view.checks],
            checked_at=utc(view.checked_at),
            last_ok_at=utc(view.last_ok_at),
            failed_since=utc(view.failed_since),
            last_error=view.last_error,
            last_error_code=view.last_error_kind,
            hint=view.hint or None,
        )


class IncidentOut(BaseModel):
    """One incident; `ticket_id` is the ticket it is linked to here."""

    sys_id: str
    number: str
    short_description: str
    description: str
    state: str
    state_label: str
    priority: str
    priority_label: str
    category: str
    assignment_group: str
    caller: str
    opened_on: datetime | None
    updated_on: datetime
    url: str | None
    ticket_id: int | None

    @classmethod
    def of(cls, row: IncidentRow) -> "IncidentOut":
        return cls(**_incident(row))


def _incident(row: IncidentRow) -> dict[str, Any]:
    incident = row.incident
    return {
        "sys_id": incident.sys_id,
        "number": incident.number,
        "short_description": incident.short_description,
        "description": incident.description,
        "state": incident.state,
        "state_label": row.state_label,
        "priority": incident.priority,
        "priority_label": row.priority_label,
        "category": incident.category,
        "assignment_group": incident.assignment_group_name or incident.assignment_group,
        "caller": incident.caller_name or incident.caller,
        "opened_on": utc(incident.opened_at),
        "updated_on": utc(incident.updated_at),
        "url": row.url,
        "ticket_id": row.ticket_id,
    }


class IncidentsOut(BaseModel):
    """`count` is the number of rows returned, `total` the number that match in ServiceNow."""

    incidents: list[IncidentOut]
    count: int
    total: int | None

    @classmethod
    def of(cls, found: LiveIncidents) -> "IncidentsOut":
        rows = [IncidentOut.of(row) for row in found.rows]
        return cls(incidents=rows, count=len(rows), total=found.total)


class JournalEntryOut(BaseModel):
    author: str
    body: str
    created_at: datetime | None

    @classmethod
    def of(cls, entry: JournalEntry) -> "JournalEntryOut":
        return cls(author=entry.author, body=entry.body, created_at=utc(entry.created_at))


class IncidentDetailsOut(IncidentOut):
    comments: list[JournalEntryOut]
    work_notes: list[JournalEntryOut]

    @classmethod
    def of_details(cls, details: IncidentDetails) -> "IncidentDetailsOut":
        def entries(element: str) -> list[JournalEntryOut]:
            return [JournalEntryOut.of(e) for e in details.journal if e.element == element]

        return cls(
            **_incident(details.row),
            comments=entries("comments"),
            work_notes=entries("work_notes"),
        )


class DuplicateOut(BaseModel):
    """A duplicate incident, created after a lost response."""

    sys_id: str
    number: str


class PushOut(BaseModel):
    """Sync status of a ticket. `created` is true if this call created the incident."""

    ticket_id: int
    state: Literal["none", "linked", "owed", "held", "unconfirmed", "blocked"]
    created: bool
    sys_id: str | None
    number: str | None
    url: str | None
    attempts: int
    next_try_at: datetime | None
    error: str | None
    duplicates: list[DuplicateOut]

    @classmethod
    def of(cls, status: PushStatus) -> "PushOut":
        return cls(
            ticket_id=status.ticket.id,
            state=status.state.value,
            created=status.created,
            sys_id=status.ticket.sn_sys_id,
            number=status.ticket.sn_number,
            url=status.url,
            attempts=status.attempts,
            next_try_at=utc(status.next_try_at),
            error=status.error,
            duplicates=[
                DuplicateOut(sys_id=one.sys_id, number=one.number) for one in status.duplicates
            ],
        )


class SyncTicketIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    work_note: Text = ""
    include_suggestions: bool = False
