"""The words of a text, as the full-text index keeps them and as a search asks for them.

Secrets are masked before the first word is read: what is not in the index cannot be found.
Words are lower case without accents. Chinese, Japanese, Thai and the like put no space between
words, so a run of their letters is cut into overlapping pairs, and its last letter stands alone:
then a word of any length is found anywhere in a run.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from app.copilot.secrets.redact import masked
from app.copilot.text import cleaned, says_something

LONGEST_WORD = 40
# Words that begin alike are forms of one: printer, printing, prints.
STEM = 5
INDEXED_AT_MOST = 20_000
# Thai, Lao, Myanmar and Khmer; kana, Han and the Han of the supplementary planes.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
# Letters to Python that are separators to SQLite: vowel signs of New Tai Lue and Vedic signs.
NO_LETTERS = "_\u19b0-\u19c9\u1cf2\u1cf3"
WORD = re.compile(rf"[{UNSPACED}]+|[^\W{NO_LETTERS}{UNSPACED}]+")
UNCUT_WORD = re.compile(rf"[^\W{NO_LETTERS}]+")
ASCII_WORD = re.compile(r"[a-z0-9]+")
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
UNSPACED_RUNS = re.compile(f"[{UNSPACED}]+")
# Letters that Unicode does not take apart into one with an accent.
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i"}
)
# How people spell these letters where the keyboard has none: Müller and Mueller.
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
SHORTEST_PREFIX = 2


class Term(NamedTuple):
    """One word as the index keeps it; a `prefix` also finds longer words."""

    word: str
    prefix: bool


Group = tuple[Term, ...]
"""Terms that must all be there."""


def words(text: str) -> list[str]:
    """Letters and digits only, in lower case, without accents; "Grüße, ORA-01653" is three."""
    if text.isascii():
        return [word[:LONGEST_WORD] for word in ASCII_WORD.findall(text.lower())]
    return [part for word in WORD.findall(_folded(text)) for part in _parts(word)]


def problem_words(subject: str, description: str) -> list[str]:
    """What a trouble is told with, each word as often as it is said; mail clutter is left out."""
    return words(masked(cleaned(f"{subject}\n{description}")))


def names_the_trouble(title: str, text: str) -> bool:
    """Whether a text has a telling word of another ticket's title, or that has none to share.

    Two tickets may be worded alike ("two colleagues see the same") and be about different things.
    """
    telling = {word[:STEM] for word in words(title) if says_something(word)}
    return not telling or not telling.isdisjoint(word[:STEM] for word in words(text))


def other_words(texts: Iterable[str | None], but: Iterable[str]) -> list[str]:
    """What a text is found by besides, each word once: also with its umlauts spelled out."""
    whole = masked("\n".join(text[:INDEXED_AT_MOST] for text in texts if text))
    found = set(words(whole))
    if not whole.isascii() and (spelled := _spelled_out(whole)) != _composed(whole):
        found |= set(words(spelled))
    return sorted(found - set(but))


def spaced(text: str) -> str:
    """The text with runs of Chinese, Japanese, Thai and the like cut into pairs and letters."""
    if text.isascii():
        return text
    return UNSPACED_RUNS.sub(lambda run: f" {' '.join((*_pairs(run[0]), *run[0]))} ", _folded(text))


def asked(text: str) -> list[list[Group]]:
    """What a search asks for: of each word one way to write it must be found, of that all terms."""
    plain = WORD.findall(_folded(text))
    spelled = WORD.findall(_folded(_spelled_out(text)))
    return [
        [_group(way) for way in dict.fromkeys(ways)] for ways in zip(plain, spelled, strict=True)
    ]


def asked_before(text: str) -> list[list[Group]]:
    """The same of rows that are not yet indexed anew: accents folded, but no run was cut."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in parts if not unicodedata.combining(char)).casefold()
    return [
        [(Term(word[:LONGEST_WORD], _by_beginning(word)),)] for word in UNCUT_WORD.findall(bare)
    ]


def _group(word: str) -> Group:
    if not UNSPACED_RUNS.match(word):
        return (Term(word[:LONGEST_WORD], _by_beginning(word)),)
    if len(word) == 1:
        return (Term(word, prefix=True),)
    return tuple(Term(pair, prefix=False) for pair in dict.fromkeys(_pairs(word)))


def _by_beginning(word: str) -> bool:
    return len(word) >= SHORTEST_PREFIX and not word.isdigit()


def _parts(word: str) -> Sequence[str]:
    if UNSPACED_RUNS.match(word):
        return [*_pairs(word), word[-1]]
    return (word[:LONGEST_WORD],)


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _spelled_out(text: str) -> str:
    return _composed(text).translate(SPELLED_OUT)


def _folded(text: str) -> str:
    """In small letters without accents. Characters of ASCII, which most are, stay as they are."""
    return BEYOND_ASCII.sub(_folded_run, text.casefold()).casefold()


def _folded_run(run: re.Match[str]) -> str:
    parts = unicodedata.normalize("NFKD", run[0]).translate(PLAIN)
    return "".join(char for char in parts if char.isascii() or not _is_mark(char))


@cache
def _is_mark(char: str) -> bool:
    """Accents, vowel signs and tone marks, and characters that cannot be seen."""
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf")
