"""What a create would send, field by field, before anybody presses the button."""

from app.db import suggestions, tickets
from app.db.engine import reading
from app.integrations import servicenow_mapping as mapping
from app.models import Preview, PreviewRow, Ticket
from app.services.privacy import masked_ticket
from app.services.servicenow.lookups import Lookups
from app.services.servicenow.setup import Setup


class Previews:
    """Asks the instance for people, groups and categories; writes nothing."""

    def __init__(self, setup: Setup, lookups: Lookups) -> None:
        self._setup = setup
        self._lookups = lookups

    def of(self, ticket_id: int) -> Preview:
        """Every field, ours and theirs. Raises NotConfigured, NotFound, ServiceNowError."""
        setup = self._setup
        client = setup.connected_client()
        with reading(setup.engine) as conn:
            ticket = masked_ticket(tickets.get(conn, ticket_id))
            steps = suggestions.of_ticket(conn, ticket_id)
        with client.click():
            people = self._lookups.people(ticket)
            groups = self._lookups.groups()
            categories = self._lookups.choices("category")
            codes = self._lookups.choices("close_code") if ticket.status.ended else ()
        group = ticket.assignment_group or setup.defaults.assignment_group
        if group and group not in dict(groups):
            named = ticket.assignment_group_name or f"Default group ({group})"
            groups = ((group, named), *groups)
        return Preview(
            ticket=ticket,
            rows=(
                *_text_rows(ticket, steps=len(steps)),
                *_choice_rows(
                    ticket,
                    categories=dict(categories),
                    states=mapping.STATE_LABELS | dict(self._lookups.known_choices("state")),
                    maps=self._lookups.maps(),
                ),
                *self._closing_rows(ticket, codes),
                *self._people_rows(ticket, people),
                PreviewRow("Work note", "", f"Copilot Ticket ID: {ticket.id}"),
                PreviewRow("Correlation id", f"Ticket {ticket.id}", self._correlation_id(ticket)),
            ),
            groups=groups,
            group=group,
            notes=people.notes,
        )

    def _correlation_id(self, ticket: Ticket) -> str:
        installation, generation = self._setup.installation, ticket.sn_generation
        return mapping.create_keys(installation, ticket.id, generation).correlation_id

    def _closing_rows(
        self, ticket: Ticket, codes: tuple[tuple[str, str], ...]
    ) -> tuple[PreviewRow, ...]:
        if not ticket.status.ended:
            return ()
        ours = ticket.resolution_code or ""
        code = mapping.close_code_of(ours, codes, self._setup.defaults.close_code)
        notes = ticket.resolution_notes or ""
        return (
            PreviewRow("Resolution code", ours, code or "None fits: the push will ask for one"),
            PreviewRow("Resolution notes", notes, notes),
        )

    def _people_rows(self, ticket: Ticket, people: mapping.People) -> tuple[PreviewRow, ...]:
        caller = ticket.requester_email if people.caller else "Left empty"
        if people.caller and people.caller == self._setup.defaults.caller:
            caller = "The default caller"
        assignee = ticket.assignee if people.assigned_to else None
        return (
            PreviewRow("Caller", ticket.requester_email, caller),
            PreviewRow("Assigned to", ticket.assignee or "Nobody", assignee or "Left empty"),
        )


def _text_rows(ticket: Ticket, *, steps: int) -> tuple[PreviewRow, ...]:
    from_steps = f", and {steps} AI suggestion{'s' if steps > 1 else ''}" if steps else ""
    subject = mapping.short_description(ticket.subject)
    return (
        PreviewRow("Short description", ticket.subject, subject),
        PreviewRow("Description", ticket.description, f"The same text{from_steps}"),
    )


def _choice_rows(
    ticket: Ticket, *, categories: dict[str, str], states: dict[str, str], maps: mapping.Maps
) -> tuple[PreviewRow, ...]:
    priority = ticket.effective_priority
    theirs = "Left to ServiceNow"
    fields = mapping.priority_fields(priority, maps, severity=ticket.severity)
    if fields:
        value = fields["priority"]
        theirs = mapping.PRIORITY_LABELS.get(value, value)
    if "impact" in fields:
        theirs += f" (impact {fields['impact']}, urgency {fields['urgency']})"
    category = mapping.their_category(ticket.effective_category, categories, maps)
    state = maps.state_of_status[ticket.status]
    return (
        PreviewRow("Priority", priority.label if priority else "Not sure", theirs),
        PreviewRow(
            "Category",
            ticket.effective_category or "Not sure",
            categories.get(category, category),
        ),
        PreviewRow("State", ticket.status.label, states.get(state, state)),
    )
