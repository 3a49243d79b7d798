"""Preview of a new incident, field by field."""

from dataclasses import dataclass

from sqlalchemy import Connection as DbConnection

from app.db import circuit_breaker, outbox, restores, suggestions, tickets
from app.db.engine import reading
from app.errors import ServiceNowError
from app.integrations.servicenow import mapping
from app.integrations.servicenow_client import ServiceNowClient
from app.models.tickets import Ticket
from app.models.views import Preview, PreviewRow
from app.services.privacy import masked_ticket
from app.services.servicenow.connection.lookups import GROUPS, Lookups
from app.services.servicenow.context import Context

NO_CODE = "No matching code. You choose one when you send."
LATER = "Looked up when the incident is created"
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Lists of the instance, live or cached. `trouble` says why they are not live."""

    people: mapping.People | None
    groups: Pairs
    categories: Pairs
    codes: Pairs
    trouble: str = ""


class Previews:
    """Reads users, groups and categories from the instance. Writes nothing."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups

    def of(self, ticket_id: int) -> Preview:
        """Every field with its ticket value and its ServiceNow value.

        Uses cached lists while ServiceNow is unavailable. Raises NotConfigured and NotFound.
        """
        context = self._context
        client = context.connected_client()
        context.complete(ticket_id)
        with reading(context.engine) as conn:
            ticket = masked_ticket(tickets.get(conn, ticket_id))
            steps = suggestions.of_ticket(conn, ticket_id)
            correlation_id = self._correlation_id(conn, ticket)
            rest = circuit_breaker.find(conn, context.host, now=context.now())
            held = restores.held(conn, context.host)
        seen = self._cached(ticket, rest.reason) if rest else self._asked(client, ticket)
        group = ticket.assignment_group or context.defaults.assignment_group
        return Preview(
            ticket=ticket,
            rows=(
                *_text_rows(ticket, steps=len(steps)),
                *self._value_rows(ticket, seen),
                PreviewRow("Work note", "", mapping.ticket_mark(ticket.id)),
                PreviewRow("Correlation ID", f"Ticket {ticket.id}", correlation_id),
            ),
            groups=_with_group(seen.groups, group, ticket.assignment_group_name),
            group=group,
            notes=seen.people.notes if seen.people else (),
            trouble=seen.trouble,
            held=held,
        )

    def _value_rows(self, ticket: Ticket, seen: _Seen) -> tuple[PreviewRow, ...]:
        """The rows that depend on lists of the instance."""
        return (
            *_choice_rows(
                ticket,
                categories=dict(seen.categories),
                states=mapping.STATE_LABELS | dict(self._lookups.known_choices("state")),
                maps=self._lookups.maps(),
            ),
            *self._closing_rows(ticket, seen.codes),
            *self._people_rows(ticket, seen.people),
        )

    def _asked(self, client: ServiceNowClient, ticket: Ticket) -> _Seen:
        try:
            with client.click():
                return _Seen(
                    people=self._lookups.people(ticket),
                    groups=self._lookups.groups(),
                    categories=self._lookups.choices("category"),
                    codes=self._lookups.choices("close_code") if ticket.status.ended else (),
                )
        except ServiceNowError as exc:
            return self._cached(ticket, exc.message)

    def _cached(self, ticket: Ticket, trouble: str) -> _Seen:
        known = self._lookups.known_choices
        codes = known("close_code") if ticket.status.ended else ()
        return _Seen(None, known(GROUPS), known("category"), codes, trouble)

    def _correlation_id(self, conn: DbConnection, ticket: Ticket) -> str:
        """The correlation ID of the waiting create, else the one that it will have."""
        waiting = outbox.find_create(conn, ticket.id, ticket.sn_generation)
        if waiting is not None and waiting.correlation_id:
            return waiting.correlation_id
        return mapping.create_keys(self._context.installation, ticket.sn_key or "").correlation_id

    def _closing_rows(self, ticket: Ticket, codes: Pairs) -> tuple[PreviewRow, ...]:
        if not ticket.status.ended:
            return ()
        ours = ticket.resolution_code or ""
        code = mapping.close_code_of(ours, codes, self._context.defaults.close_code)
        notes = ticket.resolution_notes or ""
        return (
            PreviewRow("Resolution code", ours, code or NO_CODE),
            PreviewRow("Resolution notes", notes, notes),
        )

    def _people_rows(self, ticket: Ticket, people: mapping.People | None) -> tuple[PreviewRow, ...]:
        if people is None:
            return (
                PreviewRow("Caller", ticket.requester_email, LATER),
                PreviewRow("Assigned to", ticket.assignee or "Unassigned", LATER),
            )
        caller = ticket.requester_email if people.caller else "Empty"
        if people.caller and people.caller == self._context.defaults.caller:
            caller = "Default caller"
        assignee = ticket.assignee if people.assigned_to else None
        return (
            PreviewRow("Caller", ticket.requester_email, caller),
            PreviewRow("Assigned to", ticket.assignee or "Unassigned", assignee or "Empty"),
        )


def _with_group(groups: Pairs, group: str, name: str | None) -> Pairs:
    """The available groups, including the current one if the instance does not list it."""
    if not group or group in dict(groups):
        return groups
    return ((group, name or f"Default group ({group})"), *groups)


def _text_rows(ticket: Ticket, *, steps: int) -> tuple[PreviewRow, ...]:
    from_steps = f" and {steps} AI suggestion{'s' if steps > 1 else ''}" if steps else ""
    subject = mapping.short_description(ticket.subject)
    return (
        PreviewRow("Short description", ticket.subject, subject),
        PreviewRow("Description", ticket.description, f"Same text{from_steps}"),
    )


def _choice_rows(
    ticket: Ticket, *, categories: dict[str, str], states: dict[str, str], maps: mapping.Maps
) -> tuple[PreviewRow, ...]:
    priority = ticket.effective_priority
    theirs = "Set by ServiceNow"
    fields = mapping.priority_fields(priority, maps, severity=ticket.severity)
    if fields:
        value = fields["priority"]
        theirs = mapping.PRIORITY_LABELS.get(value, value)
    if "impact" in fields:
        theirs += f" (impact {fields['impact']}, urgency {fields['urgency']})"
    category = mapping.their_category(ticket.effective_category, categories, maps)
    state = maps.state_of_status[ticket.status]
    return (
        PreviewRow("Priority", priority.label if priority else "Not set", theirs),
        PreviewRow(
            "Category",
            ticket.effective_category or "Not set",
            categories.get(category, category),
        ),
        PreviewRow("State", ticket.status.label, states.get(state, state)),
    )
