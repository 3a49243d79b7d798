"""The words of a text, as the full-text index keeps them and as a search asks for them.

Secrets are masked before the first word is read: what is not in the index cannot be found.
"""

import re
import unicodedata
from collections.abc import Iterable

from app.copilot.redact import masked
from app.copilot.text import cleaned, says_something

WORD = re.compile(r"[^\W_]+")
LONGEST_WORD = 40
# Words that begin alike are forms of one: printer, printing, prints.
STEM = 5
INDEXED_AT_MOST = 20_000


def words(text: str) -> list[str]:
    """Letters and digits only, in lower case, without accents; "Grüße, ORA-01653" is three."""
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(char for char in parts if not unicodedata.combining(char))
    return [word[:LONGEST_WORD] for word in WORD.findall(text.casefold())]


def problem_words(subject: str, description: str) -> list[str]:
    """What a trouble is told with, each word as often as it is said; mail clutter is left out."""
    return words(masked(cleaned(f"{subject}\n{description}")))


def names_the_trouble(title: str, text: str) -> bool:
    """Whether a text has a telling word of another ticket's title, or that has none to share.

    Two tickets may be told alike ("two colleagues see the same") and be about different things.
    """
    telling = {word[:STEM] for word in words(title) if says_something(word)}
    return not telling or not telling.isdisjoint(word[:STEM] for word in words(text))


def other_words(texts: Iterable[str | None], but: Iterable[str]) -> list[str]:
    """What a text is found by besides, each word once."""
    whole = "\n".join(text[:INDEXED_AT_MOST] for text in texts if text)
    return sorted(set(words(masked(whole))) - set(but))
