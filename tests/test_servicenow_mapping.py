"""What each side's words become on the other: tables, cuts, and nothing guessed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.errors import ServiceNowRejected
from app.integrations.servicenow import mapping
from app.models.tickets import Priority, Suggestion, Ticket, TicketStatus
from app.services.privacy import masked_ticket

MOMENT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TICKET = Ticket(
    id=7,
    subject="Mail is down",
    description="Since nine",
    requester_email="abel.tuter@example.com",
    status=TicketStatus.OPEN,
    priority=None,
    predicted_priority=Priority.HIGH,
    priority_confidence=0.8,
    category=None,
    predicted_category="network",
    category_confidence=0.9,
    triage_model="starter",
    assignee=None,
    resolution_code=None,
    resolution_notes=None,
    created_at=MOMENT,
    updated_at=MOMENT,
    version=1,
    sn_sys_id=None,
    sn_number=None,
    sn_last_sync_at=None,
    sn_sync_status=None,
    sn_last_error=None,
    sn_host=None,
    sn_generation=1,
)
MAPS = mapping.Maps()
KEYS = mapping.create_keys("installation", "0123456789abcdef" * 2)
STEPS = (Suggestion("Restart it", "restart", "Restart a server", public=True),)
RECORD = {
    "sys_id": "a" * 32,
    "number": "INC1",
    "short_description": "Mail",
    "state": "2",
    "priority": "3",
    "close_code": "",
    "close_notes": "",
    "sys_updated_on": "2026-01-05 10:00:00",
}


def payload(ticket: Ticket = TICKET, **changes: object) -> dict[str, str]:
    options = {
        "maps": MAPS,
        "keys": KEYS,
        "suggestions": (),
        "people": mapping.People(),
        "assignment_group": "",
        "categories": mapping.BASE_CATEGORIES,
        "close_code": None,
        "link_back": "",
    }
    return mapping.create_payload(ticket, **options | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Priority.LOW, ("3", "2", "4")),
        (Priority.MEDIUM, ("2", "2", "3")),
        (Priority.HIGH, ("2", "1", "2")),
        (Priority.URGENT, ("1", "1", "1")),
    ],
)
def test_a_priority_is_sent_with_the_impact_and_urgency_that_yield_it(
    ours: Priority, theirs: tuple[str, str, str]
) -> None:
    sent = payload(replace(TICKET, priority=ours))
    assert (sent["impact"], sent["urgency"], sent["priority"]) == theirs


def test_an_unknown_priority_is_not_sent() -> None:
    sent = payload(replace(TICKET, predicted_priority=None))
    assert not {"impact", "urgency", "priority"} & set(sent)


@pytest.mark.parametrize(
    ("category", "predicted", "sent"),
    [
        ("hardware", "network", "hardware"),
        (None, "network", "network"),
        (None, None, "software"),
        ("access", None, "software"),
    ],
)
def test_a_category_the_instance_lacks_becomes_software(
    category: str | None, predicted: str | None, sent: str
) -> None:
    ticket = replace(TICKET, category=category, predicted_category=predicted)
    assert payload(ticket)["category"] == sent


def test_an_instance_with_the_category_access_gets_it() -> None:
    ticket = replace(TICKET, category="access")
    assert payload(ticket, categories=("access", "software"))["category"] == "access"


def test_a_long_subject_is_cut_and_kept_whole_in_the_description() -> None:
    subject = "word " * 50
    sent = payload(replace(TICKET, subject=subject))
    assert len(sent["short_description"]) <= 160
    assert sent["short_description"].endswith("…")
    assert subject in sent["description"]


def test_suggestions_stand_in_the_description_with_their_source() -> None:
    sent = payload(suggestions=STEPS)
    steps = "AI Suggestions\n1. Restart it [1]\n"
    assert steps + "Sources (AI-assisted, please check):\n[1] Restart a" in sent["description"]


def test_the_work_note_names_the_ticket_and_leads_back_to_it() -> None:
    sent = payload(link_back="https://desk.example.com/tickets/7")
    assert sent["work_notes"] == (
        "Copilot Ticket ID: 7\nhttps://desk.example.com/tickets/7\n"
        "[ref sic-0123456789abcdef0123456789abcdef]"
    )
    assert sent["correlation_display"] == "Smart IT Copilot"


@pytest.mark.parametrize("tag", ["[code]", "[/CODE]", "[Code]"])
def test_code_tags_never_arrive_whole(tag: str) -> None:
    sent = payload(replace(TICKET, subject=f"x {tag}", description=f"{tag}<b>hi</b>"))
    everything = " ".join(sent.values()).lower()
    assert "[code]" not in everything
    assert "[/code]" not in everything
    assert tag not in mapping.note_text(f"{tag}x", reference="[ref]", link_back="")


def test_pending_waits_for_the_caller_and_ended_tickets_carry_close_data() -> None:
    pending = masked_ticket(replace(TICKET, status=TicketStatus.PENDING))
    assert mapping.state_fields(pending, None, MAPS) == {
        "state": "3",
        "hold_reason": "1",
    }
    ended = replace(TICKET, status=TicketStatus.RESOLVED, resolution_notes="New cable")
    assert mapping.state_fields(masked_ticket(ended), "User error", MAPS) == {
        "state": "6",
        "close_code": "User error",
        "close_notes": "New cable",
    }


KNOWN = (("Solved (Permanently)", "Solved (Permanently)"), ("ue", "User error"))


@pytest.mark.parametrize(
    ("wanted", "default", "found"),
    [
        ("user ERROR", "", "ue"),
        ("Solution provided", "Solved (Permanently)", "Solved (Permanently)"),
        ("Solution provided", "", None),
        ("Solution provided", "Nonsense", None),
        (None, "ue", "ue"),
    ],
)
def test_a_close_code_is_matched_by_value_or_label_else_the_default(
    wanted: str | None, default: str, found: str | None
) -> None:
    assert mapping.close_code_of(wanted, KNOWN, default) == found


def test_an_instance_that_shows_no_codes_gets_ours() -> None:
    assert mapping.close_code_of("Solution provided", (), "") == "Solution provided"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("1", TicketStatus.OPEN),
        ("2", TicketStatus.IN_PROGRESS),
        ("3", TicketStatus.PENDING),
        ("6", TicketStatus.RESOLVED),
        ("7", TicketStatus.CLOSED),
        ("8", TicketStatus.CLOSED),
        ("-100", None),
        ("", None),
    ],
)
def test_a_state_is_read_back_or_left_unknown(state: str, status: TicketStatus | None) -> None:
    values = mapping.ticket_values(RECORD | {"state": state}, MAPS)
    assert values["status"] == status
    assert values["resolution_code"] == ("Canceled" if state == "8" else None)


def test_priorities_are_read_back_and_planning_is_low() -> None:
    found = [
        mapping.ticket_values(RECORD | {"priority": one}, MAPS)["priority"] for one in "12345x"
    ]
    assert found == ["urgent", "high", "medium", "low", "low", None]


@pytest.mark.parametrize("field", ["sys_id", "number", "sys_updated_on"])
def test_a_record_without_its_keys_is_refused_by_the_fields_name(field: str) -> None:
    record = {name: value for name, value in RECORD.items() if name != field}
    with pytest.raises(ServiceNowRejected, match=field):
        mapping.incident_from_record(record)


def test_changed_maps_are_what_both_directions_translate_by() -> None:
    maps = replace(
        MAPS,
        state_of_status={**MAPS.state_of_status, TicketStatus.OPEN: "-5"},
        status_of_state={**MAPS.status_of_state, "-5": TicketStatus.OPEN},
        their_priority={**MAPS.their_priority, Priority.HIGH: "1"},
        our_priority={**MAPS.our_priority, "1": Priority.HIGH},
        their_category={"network": "lan"},
        our_category={"lan": "network"},
    )
    sent = payload(maps=maps, categories=("lan", "software"))
    assert (sent["state"], sent["priority"], sent["impact"]) == ("-5", "1", "1")
    assert sent["category"] == "lan"
    record = RECORD | {"state": "-5", "priority": "1", "category": "lan"}
    read = mapping.ticket_values(record, maps)
    assert (read["status"], read["priority"], read["category"]) == ("open", "high", "network")


def test_maps_come_back_from_the_database_as_they_were() -> None:
    maps = replace(MAPS, their_category={"access": "inquiry"}, our_priority={"2": Priority.URGENT})
    assert mapping.Maps.of(maps.stored) == maps
    assert mapping.Maps.of(None) == MAPS


def test_a_priority_without_known_impact_and_urgency_is_sent_alone() -> None:
    maps = replace(MAPS, their_priority={Priority.HIGH: "9"})
    assert mapping.priority_fields(Priority.HIGH, maps) == {"priority": "9"}
    assert mapping.priority_fields(Priority.LOW, maps) == {}
