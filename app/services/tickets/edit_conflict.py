"""The error for the second of two people who changed the same field."""

from collections.abc import Mapping

from app.copilot.secrets.redact import masked
from app.errors import Conflict

SHOWN = 80


def edit_conflict(what: str, who: str | None, now: Mapping[str, object]) -> Conflict:
    """The error for a form on `what`; `now` has the current value of each contested field."""
    return Conflict(
        f"{who or 'Smart IT Copilot'} changed this {what} while you were editing.",
        hint="Your changes are not saved yet. Check these fields, then save again.",
        fields={
            name: f"{name.replace('_', ' ').capitalize()} is now {in_short(value)}. "
            "Save again to use your value."
            for name, value in now.items()
        },
    )


def in_short(value: object) -> str:
    """A value for use in a message: secrets hidden, at most `SHOWN` characters."""
    text = masked("" if value is None else str(value))
    if not text:
        return "empty"
    return f"“{text}”" if len(text) <= SHOWN else f"“{text[: SHOWN - 1]}…”"
