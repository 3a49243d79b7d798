"""Two people changed the same field: the error for the one who saves later."""

from collections.abc import Mapping

from app.copilot.secrets.redact import masked
from app.errors import Conflict

SHOWN = 80


def overtaken(what: str, who: str | None, now: Mapping[str, object]) -> Conflict:
    """The error for a form on `what`; `now` holds the current value of each contested field."""
    return Conflict(
        f"{who or 'Smart IT Copilot'} changed this {what} while you were editing.",
        hint="Nothing is saved yet. Check the fields below, then save again.",
        fields={
            name: f"{name.replace('_', ' ').capitalize()} is now {in_short(value)}. "
            "Save again to use your value."
            for name, value in now.items()
        },
    )


def in_short(value: object) -> str:
    """A value for a sentence, its secrets hidden."""
    text = masked("" if value is None else str(value))
    if not text:
        return "empty"
    return f"“{text}”" if len(text) <= SHOWN else f"“{text[: SHOWN - 1]}…”"
