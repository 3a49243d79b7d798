"""Texts that are written to ServiceNow and recognized there later.

They are a protocol: incidents and notes of years ago carry them, so no literal here may change.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DISPLAY = "Smart IT Copilot"
TICKET_MARK = "Copilot Ticket ID:"
_PREFIX = "sic-"
# Older marks and keys were made from numbers of this database: event 57, ticket 7, generation 1.
_KEY = re.compile(r"[0-9a-f]{32}|[0-9]{1,18}-[0-9]{1,9}")
_REFERENCE = re.compile(r"\[ref sic-([0-9a-f]{32}|[0-9]{1,18}-[0-9a-f]{8})\]")


@dataclass(frozen=True, slots=True)
class CreateKeys:
    """What makes a create recognizable: a `sys_id` of our choosing and a correlation id."""

    sys_id: str
    correlation_id: str


def create_keys(installation: str, key: str) -> CreateKeys:
    """The two forms of one random key, 32 hexadecimal digits."""
    return CreateKeys(sys_id=key, correlation_id=own_prefix(installation) + key)


def own_prefix(installation: str) -> str:
    """What every correlation id of this installation begins with."""
    return f"{_PREFIX}{installation}-"


def own_key(installation: str, correlation_id: str) -> str | None:
    """The key in a correlation id of this installation; None for any other text."""
    prefix = own_prefix(installation)
    key = correlation_id.removeprefix(prefix)
    return key if correlation_id.startswith(prefix) and _KEY.fullmatch(key) else None


def is_our_create(record: Mapping[str, str]) -> bool:
    """Whether an incident was created from a ticket, here or in another installation."""
    return record.get("correlation_id", "").startswith(_PREFIX)


def note_reference(mark: str) -> str:
    """The mark of a note as it is written, by which the note is found again in the journal."""
    return f"[ref {_PREFIX}{mark}]"


def referenced_marks(text: str) -> tuple[str, ...]:
    """The marks that stand in a text, ours or those of another installation."""
    return tuple(_REFERENCE.findall(text))


def ticket_mark(ticket_id: int) -> str:
    """The first line of the work note that comes with a create."""
    return f"{TICKET_MARK} {ticket_id}"


def is_note_of_create(text: str, ticket_id: int) -> bool:
    """Whether this is the work note that came with our own create."""
    return text.split("\n", 1)[0] == ticket_mark(ticket_id)
