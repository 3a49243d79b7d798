"""Texts that were written to ServiceNow long ago are still recognized: the values are literal."""

import pytest

from app.integrations.servicenow import mapping

INSTALLATION = "1f0e6c1a-7b2d-4c1e-9a55-0c8d7e6f5a4b"
KEY = "0123456789abcdef0123456789abcdef"
OLD = f"sic-{INSTALLATION}-7-1"
NEW = f"sic-{INSTALLATION}-{KEY}"


def test_what_is_written_never_changes() -> None:
    keys = mapping.create_keys(INSTALLATION, KEY)
    assert (keys.sys_id, keys.correlation_id) == (KEY, NEW)
    assert mapping.DISPLAY == "Smart IT Copilot"
    assert mapping.ticket_mark(7) == "Copilot Ticket ID: 7"
    assert mapping.note_reference(KEY) == f"[ref sic-{KEY}]"
    assert len(keys.correlation_id) <= 100


@pytest.mark.parametrize(
    ("correlation_id", "key"),
    [
        (NEW, KEY),
        (OLD, "7-1"),
        (f"sic-{INSTALLATION}-", None),
        (f"sic-{INSTALLATION}-copy of 7-1", None),
        (f"sic-00000000-0000-4000-8000-000000000000-{KEY}", None),
        ("JIRA-7", None),
        ("", None),
    ],
)
def test_keys_of_this_installation_are_recognized(correlation_id: str, key: str | None) -> None:
    assert mapping.own_key(INSTALLATION, correlation_id) == key


@pytest.mark.parametrize("correlation_id", [OLD, NEW, f"sic-other-{KEY}"])
def test_creates_of_any_installation_are_recognized(correlation_id: str) -> None:
    assert mapping.is_our_create({"correlation_id": correlation_id})
    assert not mapping.is_our_create({"correlation_id": "JIRA-7"})


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("Rebooted the router\n\n[ref sic-57-ab12cd34]", ("57-ab12cd34",)),
        (f"Rebooted\n\nhttps://desk.example.com/tickets/7 [ref sic-{KEY}]", (KEY,)),
        (f"[ref sic-57-ab12cd34] and [ref sic-{KEY}]", ("57-ab12cd34", KEY)),
        ("[ref sic-57-ab12cd3] [ref sic-] [ref 57-ab12cd34]", ()),
    ],
)
def test_marks_of_notes_are_recognized(text: str, marks: tuple[str, ...]) -> None:
    assert mapping.referenced_marks(text) == marks


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("Copilot Ticket ID: 7", True),
        ("Copilot Ticket ID: 7\nhttps://desk.example.com/tickets/7", True),
        (f"Copilot Ticket ID: 7\n[ref sic-{KEY}]", True),
        ("Copilot Ticket ID: 77", False),
        ("See Copilot Ticket ID: 7", False),
    ],
)
def test_the_note_of_a_create_is_recognized(text: str, is_it: bool) -> None:
    assert mapping.is_note_of_create(text, 7) is is_it
