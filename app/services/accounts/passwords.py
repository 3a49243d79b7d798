"""Which passwords may be chosen: long ones that no list and no person's own data gives away."""

import gzip
import re
import unicodedata
from functools import cache
from pathlib import Path

from app.errors import Invalid
from app.security import LONGEST_PASSWORD

SHORTEST_PASSWORD = 10
# The 10,000 most common ones and every longer one of the list in zxcvbn (MIT licence), and the
# like in other languages; one a line, in lower case.
LIST = Path(__file__).parent / "common_passwords.txt.gz"
ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
ROWS_ELSEWHERE = ("qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "1qaz2wsx3edc4rfv")
# A digit or sign that is written for a letter; "1" and "!" are written for two.
LEET = ["013457@$!", "oleastasi"], ["013457@$!", "oieastasl"]
BEFORE_A_WORD, AFTER_A_WORD = r"^[\W\d_]+", r"[\W\d_]+$"
# What guesses try first in this product.
OWN_WORDS = ("smart", "copilot", "servicenow", "helpdesk")
LEAST_OF_ONES_OWN = 4
# So many characters must be left when everything that can be known of the person is taken away.
LEAST_LEFT = 6


def checked_password(password: str, *, email: str, field: str = "password") -> str:
    """The password, if the owner of this address may use it. Raises Invalid, naming `field`."""
    if len(password) < SHORTEST_PASSWORD:
        sentence = f"Use at least {SHORTEST_PASSWORD} characters."
    elif len(password) > LONGEST_PASSWORD:
        sentence = f"Use at most {LONGEST_PASSWORD} characters."
    elif _made_of_known_words(password, email):
        sentence = "This password is too close to your e-mail address or the name of this app."
    elif _is_common(password):
        sentence = "This password is easy to guess. Several unrelated words make a better one."
    else:
        return password
    raise Invalid("This password cannot be used.", fields={field: sentence})


@cache
def _common() -> frozenset[str]:
    return frozenset(gzip.decompress(LIST.read_bytes()).decode("ascii").split("\n"))


def _is_common(password: str) -> bool:
    """On the list, with or without digits and signs around it; repeated, or one row of keys."""
    plain = _spelled(password)
    for spelling in _spellings(plain):
        word = re.sub(BEFORE_A_WORD, "", re.sub(AFTER_A_WORD, "", spelling))
        if not _common().isdisjoint({spelling, word, _unit(spelling), _unit(word)} - {""}):
            return True
    return len(_unit(plain)) < LEAST_LEFT or _is_row(plain)


def _made_of_known_words(password: str, email: str) -> bool:
    """Whether little is left without the parts of the address and the words of this app."""
    address = _spelled(email)
    name, _, domain = address.partition("@")
    parts = {address, name, domain, *re.split(r"[\W_]+", address), *OWN_WORDS}
    left = _spelled(password)
    known = [part for part in parts if len(part) >= LEAST_OF_ONES_OWN]
    found = False
    for part in sorted(known, key=len, reverse=True):
        found = found or part in left
        left = left.replace(part, " ")
    return found and sum(character.isalpha() for character in left) < LEAST_LEFT


def _spelled(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spellings(plain: str) -> list[str]:
    """The text and what its digits and signs may stand for, with and without those at its end.

    The ones at the end are a year or a count: in "p@ssw0rd123" they stand for no letters.
    """
    texts = [plain, re.sub(AFTER_A_WORD, "", plain)]
    tables = [str.maketrans(signs, letters) for signs, letters in LEET]
    return texts + [text.translate(table) for text in texts for table in tables]


def _unit(text: str) -> str:
    """What the text repeats: "abab" gives "ab"; the text itself when nothing is repeated."""
    length = (text + text).find(text, 1)
    return text[:length]


def _is_row(plain: str) -> bool:
    """Whether neighbours on a keyboard or in the alphabet follow each other all the way."""
    rows = [row * 2 for row in (*ROWS, *ROWS_ELSEWHERE)]
    return any(plain in row or plain in row[::-1] for row in rows)
