"""The payload of an update: the fields that differ, as values of the instance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.errors import Kind, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.conflicts import RESOLUTION
from app.models.servicenow import OutboxItem
from app.models.tickets import MaskedTicket, Ticket
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context

Record = Mapping[str, str]
# Labels of the incident fields that are compared with the response. Impact and urgency are left
# out, because they only determine the priority.
LABELS = {
    "short_description": "short description",
    "state": "state",
    "priority": "priority",
    "category": "category",
    "assigned_to": "assigned to",
    "assignment_group": "assignment group",
    "close_code": "resolution code",
    "close_notes": "resolution notes",
}


class Unsendable(Exception):
    """A value that the instance does not have. The text is a sentence for the timeline."""


@dataclass(frozen=True, slots=True)
class Payload:
    """`fields` differ from the record. `unsent` are sentences about values left out."""

    fields: Mapping[str, str]
    unsent: tuple[str, ...]

    def refused_by(self, record: Record) -> tuple[str, ...]:
        """One sentence for each sent value that the instance did not use."""
        return tuple(
            _kept(record, name)
            for name, sent in self.fields.items()
            if name in LABELS and record.get(name, sent).strip() != sent.strip()
        )


class Payloads:
    """Translates ticket values to values of the instance."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups
        self._parts: dict[str, Callable[[MaskedTicket], dict[str, str]]] = {
            "subject": lambda t: {"short_description": mapping.short_description(t.subject)},
            "priority": self._priority,
            "category": self._category,
            "assignee": self._assignee,
            "assignment_group": lambda t: {"assignment_group": t.assignment_group or ""},
        }

    def of(
        self, item: OutboxItem, ticket: MaskedTicket, verdict: mapping.Merge, *, record: Record
    ) -> Payload:
        """The payload of a merge result. Raises ServiceNowRejected for an unknown close code."""
        fields, unsent = self._closing(item, ticket, verdict, record), []
        for name in verdict.send:
            if name in self._parts:
                try:
                    fields |= self._parts[name](ticket)
                except Unsendable as exc:
                    unsent.append(str(exc))
        differing = {name: value for name, value in fields.items() if record.get(name) != value}
        return Payload(differing, tuple(unsent))

    def _closing(
        self, item: OutboxItem, ticket: MaskedTicket, verdict: mapping.Merge, record: Record
    ) -> dict[str, str]:
        """The state with its resolution, without fields that ServiceNow changed."""
        if "status" not in verdict.send:
            names = set(verdict.send)
        else:
            names = {*RESOLUTION, "status"} - {*verdict.take, *verdict.conflicts}
        if not names & {*RESOLUTION, "status"}:
            return {}
        code = None
        if ticket.status.ended and "resolution_code" in names:
            code = self.close_code(item, ticket)
        fields = mapping.state_fields(ticket, code, self._lookups.maps())
        wanted = {mapping.FIELD_OF[name] for name in names}
        if "status" in names:
            wanted.add("hold_reason")
        return {name: value for name, value in fields.items() if name in wanted}

    def close_code(self, item: OutboxItem, ticket: Ticket) -> str:
        """The close code of the instance. Raises ServiceNowRejected if none matches."""
        wanted = item.close_code or ticket.resolution_code
        known = self._lookups.choices("close_code")
        code = mapping.close_code_of(wanted, known, self._context.defaults.close_code)
        if code is None:
            lacking = f"ServiceNow does not have the resolution code “{wanted}”. " if wanted else ""
            raise ServiceNowRejected(
                f"{lacking}Choose a ServiceNow resolution code.", kind=Kind.CLOSE_CODE
            )
        return code

    def _priority(self, ticket: MaskedTicket) -> dict[str, str]:
        fields = mapping.priority_fields(
            ticket.effective_priority, self._lookups.maps(), severity=ticket.severity
        )
        if not fields:
            raise Unsendable(f"Priority not sent. {ticket.effective_priority} is not mapped.")
        return fields

    def _category(self, ticket: MaskedTicket) -> dict[str, str]:
        ours = ticket.effective_category or ""
        wanted = self._lookups.maps().their_category.get(ours, ours)
        known = [value for value, _ in self._lookups.choices("category")]
        if wanted not in (known or mapping.BASE_CATEGORIES):
            raise Unsendable(f"Category not sent. ServiceNow does not have “{ours}”.")
        return {"category": wanted}

    def _assignee(self, ticket: MaskedTicket) -> dict[str, str]:
        if ticket.assignee is None:
            return {"assigned_to": ""}
        found = self._lookups.find_user(ticket.assignee)
        if not found.sys_id:
            raise Unsendable(f"Assignee not sent. {found.trouble}")
        return {"assigned_to": found.sys_id}


def _kept(record: Record, name: str) -> str:
    kept = record[name]
    if name == "state":
        label = mapping.STATE_LABELS.get(kept, kept)
        return (
            f"ServiceNow accepted the change, but the incident is {label}. "
            "A business rule may have changed it back."
        )
    labels = mapping.PRIORITY_LABELS if name == "priority" else {}
    shown = record.get(f"{name}.name") or labels.get(kept, kept) or "empty"
    return f"ServiceNow did not use the {LABELS[name]} that was sent. Its value is “{shown}”."
