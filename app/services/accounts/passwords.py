"""Password rules: long enough, not common, not derived from the e-mail address."""

import gzip
import re
import unicodedata
from functools import cache
from pathlib import Path

from app.errors import Invalid
from app.security import LONGEST_PASSWORD

SHORTEST_PASSWORD = 10
# The 10,000 most common passwords, all longer ones of the zxcvbn list (MIT license), and common
# passwords in other languages; one per line, in lower case.
LIST = Path(__file__).parent / "common_passwords.txt.gz"
ROWS = ("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
ROWS_ELSEWHERE = ("qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "1qaz2wsx3edc4rfv")
# Digits and signs that replace letters; "1" and "!" can replace two different ones.
LEET = ["013457@$!", "oleastasi"], ["013457@$!", "oieastasl"]
BEFORE_A_WORD, AFTER_A_WORD = r"^[\W\d_]+", r"[\W\d_]+$"
# Words that attackers try first for this product.
OWN_WORDS = ("smart", "copilot", "servicenow", "helpdesk")
LEAST_OF_ONES_OWN = 4
# The number of letters that must remain without the known words.
LEAST_LEFT = 6


def checked_password(password: str, *, email: str, field: str = "password") -> str:
    """The password, if the owner of `email` may use it. Raises Invalid for `field`."""
    if len(password) < SHORTEST_PASSWORD:
        sentence = f"Use at least {SHORTEST_PASSWORD} characters."
    elif len(password) > LONGEST_PASSWORD:
        sentence = f"Use at most {LONGEST_PASSWORD} characters."
    elif _made_of_known_words(password, email):
        sentence = "This password is too close to your e-mail address or the name of this app."
    elif _is_common(password):
        sentence = "This password is easy to guess. Use several unrelated words."
    else:
        return password
    raise Invalid("Choose another password.", fields={field: sentence})


@cache
def _common() -> frozenset[str]:
    return frozenset(gzip.decompress(LIST.read_bytes()).decode("ascii").split("\n"))


def _is_common(password: str) -> bool:
    """Whether it is listed, also without digits and signs around it, repeated or a row of keys."""
    plain = _spelled(password)
    for spelling in _spellings(plain):
        word = re.sub(BEFORE_A_WORD, "", re.sub(AFTER_A_WORD, "", spelling))
        if not _common().isdisjoint({spelling, word, _unit(spelling), _unit(word)} - {""}):
            return True
    return len(_unit(plain)) < LEAST_LEFT or _is_row(plain)


def _made_of_known_words(password: str, email: str) -> bool:
    """Whether too little remains without the parts of the address and the words of this app."""
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
    """The text, and versions with letters for digits and signs, with and without those at its end.

    Digits at the end are often a year or a count: in "p@ssw0rd123" they replace no letters.
    """
    texts = [plain, re.sub(AFTER_A_WORD, "", plain)]
    tables = [str.maketrans(signs, letters) for signs, letters in LEET]
    return texts + [text.translate(table) for text in texts for table in tables]


def _unit(text: str) -> str:
    """The repeated part of a text: "ab" for "abab"; the text itself if nothing repeats."""
    length = (text + text).find(text, 1)
    return text[:length]


def _is_row(plain: str) -> bool:
    """Whether the text is a sequence of neighboring keys or letters."""
    rows = [row * 2 for row in (*ROWS, *ROWS_ELSEWHERE)]
    return any(plain in row or plain in row[::-1] for row in rows)
