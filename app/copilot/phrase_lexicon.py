"""Phrases that say how many are affected and how much it hurts, read from files of plain text.

A phrase is words in small letters. `(a|b)` is either, `?` after a word or group makes it optional,
`*` stands for the rest of a word, `...` for up to six words between, `^` for the start of a
sentence; `<number>`, `<hundreds>`, `<day>`, `<clock>`, `<place>`, `<people>` for what they say.
"""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "knowledge" / "lexicon"
LEVELS = (1, 2, 3)
READ_AT_MOST = 2_000
NAMED = {
    "number": r"(?:\d{1,2}(?:st|nd|rd|th)?|one|two|three|four|five|six|seven|eight|nine|ten|"
    r"eleven|twelve|fourteen|fifteen|twenty|thirty)",
    "hundreds": r"\d{3,}",
    "day": r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|donnerstag|"
    r"freitag|lunes|martes|miércoles|jueves|viernes|lundi|mardi|mercredi|jeudi|vendredi)",
    "clock": r"(?:\d{1,2}[:.]\d\d|\d{1,2}\s?(?:am|pm|uhr|h)|noon|midday|mittag)",
    "place": r"(?:compan(?:y|ies)|firm|organi[sz]ation|business|sites?|buildings?|plants?|"
    r"factor(?:y|ies)|offices?|branch(?:es)?|stores?|shops|locations?|hospital|campus|schools?|"
    r"departments|teams|wards?|lines?|servers|customers|clients|users?|employees?|staff)",
    "people": r"(?:people|persons|colleagues|users|agents|engineers|designers|employees|nurses|"
    r"drivers|pickers|participants|trainees|interns|clerks|developers|staff|pcs|licences|laptops|"
    r"sockets|desks)",
}
SPACE, MAYBE, START = r"[\s-]+", r"[\s-]*", r"(?:^|[.!?:\n])"
GAP = r"(?:[^\s.!?]+\s+){0,6}?"
SPELLED = {"...": GAP, "(": "(?:", ")": ")", "|": "|", "?": "?", "*": r"\w*", "^": START}
PIECE = re.compile(r"<(\w+)>|\.\.\.|[()|?*^]|\s+|[^\s()|?*^<]+")


@dataclass(frozen=True, slots=True)
class Sign:
    """A phrase found in a text, in small letters."""

    level: int
    words: str


class Signs:
    """The phrases of one scale, compiled once."""

    def __init__(self, name: str) -> None:
        """`name` is impact or urgency. Raises ValueError naming a phrase that cannot be read."""
        self.written = (HERE / f"{name}.txt").read_text(encoding="utf-8")
        phrases = _phrases(self.written)
        self._patterns = {level: _compiled(phrases[level]) for level in LEVELS}

    def find(self, text: str) -> tuple[Sign, ...]:
        """The phrases at the start of a text, by level, in the order of the text."""
        plain = text[:READ_AT_MOST].lower().replace("’", "'")
        return tuple(
            Sign(level, " ".join(found[0].split()).strip(".!?: "))
            for level in LEVELS
            for found in self._patterns[level].finditer(plain)
        )


def _phrases(content: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {level: [] for level in LEVELS}
    level = 0
    for line in content.splitlines():
        if heading := re.match(r"\[([123])\]", line):
            level = int(heading[1])
        elif line.strip() and not line.startswith("#"):
            found[level].append(line.strip())
    return found


def _compiled(phrases: list[str]) -> re.Pattern[str]:
    starts = [_pattern(phrase) for phrase in phrases if phrase.startswith("^")]
    others = [_pattern(phrase) for phrase in phrases if not phrase.startswith("^")]
    # One look at what is before and behind, not one a phrase.
    either = [rf"(?<![\w'])(?:{'|'.join(others)})", *starts]
    return re.compile(rf"(?:{'|'.join(either)})(?![\w'])")


def _pattern(phrase: str) -> str:
    """A phrase as a regular expression; a space matches a hyphen too."""
    parts: list[str] = []
    for piece in PIECE.finditer(phrase):
        token, before = piece[0], parts[-1] if parts else ""
        if piece[1] and piece[1] not in NAMED:
            raise ValueError(f"{phrase!r} names <{piece[1]}>, which nobody has described.")
        if piece[1]:
            parts.append(NAMED[piece[1]])
        elif token.isspace():
            # What may be missing takes its space with it.
            parts.append(MAYBE if before in ("?", START) else "" if before == GAP else SPACE)
        else:
            parts.append(SPELLED.get(token) or re.escape(token))
    return "".join(parts)
