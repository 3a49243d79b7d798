"""Names of people: how they are written, and when two of them are the same."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import count

from app.errors import Invalid
from app.models.characters import plain

LONGEST_NAME = 80
# Of the folded form, which some letters make longer.
LONGEST_KEY = 160
# Characters without a shape of their own: joiners, variation selectors, fillers, format marks.
SHAPELESS = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
# A blank that is no white space to Python.
BRAILLE_BLANK = "\u2800"
# Alphabets whose letters are mistaken for each other's.
ALIKE = {"LATIN", "CYRILLIC", "GREEK"}
# What pages write where no person acted.
RESERVED = frozenset({"smart it copilot", "servicenow", "staff", "unassigned", "nobody"})


def tidied(name: str) -> str:
    """The name as it is kept: composed, without what cannot be seen, single spaces."""
    text = unicodedata.normalize("NFC", plain(name)).replace(BRAILLE_BLANK, " ")
    return " ".join(text.split())


def name_key(name: str) -> str:
    """The same for all spellings of a name: case, compatibility forms and blanks do not count."""
    text = SHAPELESS.sub("", tidied(name))
    for _ in range(2):
        # Folding may leave letters that are composed differently.
        text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(SHAPELESS.sub("", text).split())


def checked_name(name: str, *, field: str = "name") -> str:
    """The name as it is kept. Raises Invalid."""
    kept, key = tidied(name), name_key(name)
    sentence = ""
    if not any(char.isalnum() for char in key) or len(kept) > LONGEST_NAME:
        sentence = f"Enter a name of 1 to {LONGEST_NAME} characters."
    elif len(key) > LONGEST_KEY or "@" in key or len(_alphabets(key) & ALIKE) > 1:
        sentence = "Use the letters of one alphabet, and no @."
    elif key in RESERVED:
        sentence = "This name is reserved. Enter another one."
    if sentence:
        raise Invalid(sentence, fields={field: sentence})
    return kept


def _alphabets(text: str) -> set[str]:
    return {unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()}


def local_part(address: str) -> str:
    """How somebody without an account is shown: what stands before the @, else all of it."""
    return address.partition("@")[0] or address


def derived_names(wanted: str) -> Iterator[str]:
    """Names for an account that was given none: `wanted` if it can be used, then with numbers."""
    try:
        base = checked_name(wanted[: LONGEST_NAME - 10])
        yield base
    except Invalid:
        base = "User"
    for number in count(2):
        yield f"{base} {number}"
