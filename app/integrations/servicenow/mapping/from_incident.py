"""What a record of ServiceNow says, as values of ours. Nothing is lost or guessed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow.mapping.choices import CANCELED, STATE_LABELS
from app.integrations.servicenow.mapping.maps import Maps
from app.integrations.servicenow.mapping.to_incident import short_description
from app.models.characters import is_blank
from app.models.conflicts import RESOLUTION
from app.models.servicenow import Incident, JournalEntry

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
    "sys_updated_by",
    "sys_mod_count",
)
STAMP_LENGTH = 19


def parse_stamp(text: str) -> datetime:
    """`YYYY-MM-DD HH:MM:SS` in UTC, as raw values are. Raises ValueError."""
    if len(text) != STAMP_LENGTH or text[10] != " ":
        raise ValueError(f"{text!r} is not a valid date and time")
    return datetime.fromisoformat(f"{text}+00:00")


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
            f"An incident from ServiceNow could not be read: {exc}",
            kind=Kind.UNEXPECTED,
            hint="Check that the integration account can read this field.",
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


# The field of an incident that tells each field of a ticket.
FIELD_OF = {
    "subject": "short_description",
    "status": "state",
    "priority": "priority",
    "category": "category",
    "assignee": "assigned_to",
    "assignment_group": "assignment_group",
    "resolution_code": "close_code",
    "resolution_notes": "close_notes",
}


# As they are called in a sentence.
LABEL_OF_FIELD = {field: name.replace("_", " ") for name, field in FIELD_OF.items()}


def ticket_values(record: Record, maps: Maps) -> dict[str, str | None]:
    """What an incident says about a ticket; an unknown state or priority says nothing (None).

    A field that is hidden from us is left out: that it is empty is not known.
    """
    state = record.get("state", "")
    status = maps.status_of_state.get(state)
    priority = maps.our_priority.get(record.get("priority", ""))
    category = record.get("category", "")
    ended = status is not None and status.ended
    code = "Canceled" if state == CANCELED else record.get("close_code")
    values = {
        "subject": subject_of(record),
        "status": status and status.value,
        "priority": priority and priority.value,
        "category": maps.our_category.get(category, category) or None,
        "assignee": _assignee(record),
        "assignment_group": record.get("assignment_group") or None,
        "resolution_code": (code or None) if ended else None,
        "resolution_notes": (record.get("close_notes") or None) if ended else None,
    }
    for name, field in FIELD_OF.items():
        if field not in record:
            hidden = (name, *RESOLUTION) if name == "status" else (name,)
            for one in hidden:
                values.pop(one, None)
    return values


def subject_of(record: Record) -> str | None:
    """The short description; of a blank one the first line of the description, or the number."""
    if is_blank(record.get("short_description", "")):
        lines = record.get("description", "").splitlines()
        first = next((line for line in lines if not is_blank(line) and line[0] != "<"), "")
        return short_description(first) or record.get("number")
    return record.get("short_description")


def values_sent(payload: Record, assignee: str | None, maps: Maps) -> dict[str, str | None]:
    """What an incident says about a ticket when it is as a create sent it.

    Fields that were left out say nothing; nobody and no group are sent by leaving them out.
    """
    record = {"assigned_to": "", "assignment_group": "", **payload}
    if record["assigned_to"]:
        record["assigned_to.email"] = assignee or ""
    return ticket_values(record, maps)


def _assignee(record: Record) -> str | None:
    """The e-mail; the name, or else the sys_id, of somebody whose e-mail is hidden from us."""
    email = record.get("assigned_to.email", "").casefold()
    return email or record.get("assigned_to.name") or record.get("assigned_to") or None


def seen_of(record: Record) -> dict[str, str | None]:
    """Which state of an incident a record is."""
    return {
        "mod_count": record.get("sys_mod_count", ""),
        "updated_on": record.get("sys_updated_on", ""),
        "updated_by": record.get("sys_updated_by", ""),
    }


def state_of(text: str) -> str:
    """The state value for a label or a value; "" for an unknown one."""
    wanted = text.strip().casefold()
    for value, label in STATE_LABELS.items():
        if wanted in (value, label.casefold(), label.casefold().replace(" ", "_")):
            return value
    return wanted if re.fullmatch(r"-?[0-9]{1,4}", wanted) else ""
