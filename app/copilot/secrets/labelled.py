"""Secrets that people name: "my password is ...", "PIN 1234", "Passwort: ...", "mdp : ...".

A label opens, a link follows ("is", ":", or nothing), and what stands next is judged: the weaker
the link, the more it must look like a secret. Without a value behind it, a label is looked for one
on the next line, before it, and in the next sentences. Nothing here reads more than a few words.
"""

import re
from collections.abc import Iterator

from app.copilot.secrets.candidates import (
    NOT_SECRET,
    ORDINARY,
    is_about,
    is_phrase,
    is_talk,
    looks_secret,
    phrase_ends,
    stands_alone,
)
from app.copilot.secrets.labels import KINDS, PLACES, Label, labels_in, opens_something
from app.copilot.secrets.phrases import (
    ASIDE,
    BETWEEN,
    HEADS,
    JOINS,
    NOW,
    OF,
    SAID_AGAIN,
    VERB,
    WHICH,
)
from app.copilot.types import SecretKind, Span

TAIL = re.compile(
    ASIDE
    + r"(?:(?P<sign>[*_\"'’)\]]{0,3}[ \t]{0,3}(?:value)?(?P<mark>:=|=>|->|→|[:=>])[*_]{0,2}"
    + r"(?P<space>[ \t]{0,4}(?:\r?\n)?[ \t]{0,4})"
    + r"(?:(?:old|new|alt|neu|vieja|nueva|ancien|nouveau|vecchia|nuova)[ ]?:?[ ])?)"
    + rf"|(?P<verb>(?:[ ]{VERB}|['’]s)"
    + NOW
    + r"[ ]?:?[ ]{1,2})"
    + r"|(?P<weak>[ ](?:to|auf|should be|will be|soll sein|a|en|à|naar|as)[ ]{1,2}|[ ][-–][ ]"
    + r"|[^.:=\n]{1,40}?[ ](?:it is|it was|it's|its|(?:changed|set|reset) to)[ ]{1,2}))",
    re.IGNORECASE,
)
NOTHING = re.compile(WHICH + r",?[ ]{1,2}\(?", re.IGNORECASE)
# "of the door of the store room is": what a code is for may take more words.
CODE_TAIL = re.compile(
    rf"(?:[ ](?:{OF}\b|(?=d['’]|dell['’])|(?={PLACES.pattern}))[^.:=\n\d]{{0,50}}?)?"
    rf"(?:[ ]?[:=][ ]?|[ ]{VERB}{NOW}[ ]|[ ])(?=[\"'“*#]?[A-Z]{{0,3}}\d)",
    re.IGNORECASE,
)
QUOTED = re.compile(
    r"\"([^\"\n]{1,100})\"|'([^'\n]{1,100})'|“([^”\n]{1,100})”|„([^“”\n]{1,100})[“”]"
    r"|«\s?([^»\n]{1,100}?)\s?»|`([^`\n]{1,100})`"
)
WORD = re.compile(r"\S+")
PARAMETER = re.compile(r"[^\s;&<\"']+")
PHRASE = re.compile(r"[^\s.,;:!?()\[\]<>\"/=]{1,24}(?:[ ][^\s.,;:!?()\[\]<>\"/=]{1,24}){2,12}")
PAIR = re.compile(
    r"(?:[ ](?:are|is|sind|lauten|son|sont|sono))?[ \t]{0,3}[:=]?[ \t]{0,3}[^\s/]{1,64}"
    r"[ ]?/[ ]?(?P<value>[^\s/]\S*)"
)
SHORT_NUMBER = re.compile(r"\d{4,8}(?![\d\w]|[-/.:]\d)")
CODE_NUMBER = re.compile(
    r"\d{3}[ -]\d{3}(?!\d)|[*#]?\d{3,8}#?(?![\d\w]|[-/.:]\d)"
    r"|(?=[A-Z-]{0,20}\d)[A-Z0-9]{4,6}(?:-[A-Z0-9]{4,6}){1,4}"
    r"|(?=[A-Z]{0,3}\d{2})[A-Z0-9]{4,8}#?(?!\w)|\d{1,2}(?:[ -]\d{1,2}){2,3}(?![\d-])"
)
HASHED = re.compile(r"(?<![\w#*.,/-])\*?\d{4,8}#(?![\w#])")
ENDS = re.compile(r"[ \t]*(?:$|[\n\r.,;!?])")
# A label that has its line for itself, or shares it with a word or two, and the line after it.
BEFORE_ON_LINE = re.compile(r"[\w *_>-]{0,24}")
NEXT_LINE = re.compile(
    r"(?:[ ]?\([^()\n]{1,30}\))?"
    + WHICH
    + r"[*_\"')\]]{0,3}[ \t]{0,3}(?P<mark>[:=]?)[*_]{0,2}[ \t]{0,3}(?:\r?\n[ \t]{0,8}){1,3}"
    r"(?P<value>\S[^\n]{0,79})(?:\r?\n|$)"
)
# The shortest value that is believed without a link.
FEWEST = {"password": 6, "pass": 6, "phrase": 6, "key": 10, "token": 10}

SENTENCE_END = re.compile(r"[.!?]\s+|\n+")
READ_ON = 240

Place = tuple[int, int] | None


def labelled(text: str) -> Iterator[Span]:
    """Every secret that a label names, in order."""
    at = 0
    labels = labels_in(text)
    for i, label in enumerate(labels):
        if label.start < at or (label.name == "place" and not opens_something(text, label)):
            continue
        following = labels[i + 1].start if i + 1 < len(labels) else len(text)
        kind = KINDS.get(label.name, SecretKind.CODE)
        if place := _after(text, label):
            at = place[1]
        elif place := _before(text, label, since=at):
            pass
        elif place := _said_again(text, label, until=following):
            at = place[1]
        if place:
            yield Span(*place, kind)
    yield from _ended_by_hash(text)


def _ended_by_hash(text: str) -> Iterator[Span]:
    """Codes as they are typed at a door: "use 2580# at the gate"."""
    for found in HASHED.finditer(text) if "#" in text else ():
        near = text[max(0, found.start() - 60) : found.end() + 40]
        if PLACES.search(near):
            yield Span(found.start(), found.end(), SecretKind.CODE)


def _after(text: str, label: Label) -> Place:
    """The secret behind a label, on its line or on the next."""
    at, name = label.end, label.name
    if name == "pin":
        place = _of_number(SHORT_NUMBER, text, at)
    elif name in ("code", "place"):
        place = _of_number(CODE_NUMBER, text, at)
    elif name == "login":
        return _of_pair(text, at)
    else:
        place = _of_word(text, at, name)
        if place is None and name == "password" and opens_something(text, label):
            place = _of_number(SHORT_NUMBER, text, at)
    return place or _on_next_line(text, label)


def _of_word(text: str, at: int, name: str) -> Place:
    """The password, key or token after a label that ends at `at`."""
    nothing = NOTHING.match(text, at)
    place = _judged(text, nothing.end(), name, link="none") if nothing else None
    tail = None if place else TAIL.match(text, at)
    if tail is None:
        return place
    if tail["sign"] is None:
        link = "verb" if tail["verb"] else "weak"
        dash = tail["weak"] and tail["weak"].strip() in "-–"
        phrase = _phrase(text, tail.end(), name, link="sign" if dash else link)
        return phrase or _judged(text, tail.end(), name, link=link)
    if "\n" in tail["space"]:
        return _judged(text, tail.end(), name, link="weak")
    link = "sign" if tail["mark"] != "=" and tail["mark"] != ">" else "parameter"
    phrase = _phrase(text, tail.end(), name, link="sign")
    return phrase or _judged(text, tail.end(), name, link=link)


def _phrase(text: str, at: int, name: str, *, link: str) -> Place:
    """Several words that are a password or a pass phrase together."""
    found = PHRASE.match(text, at) if name in ("phrase", "password") and link != "weak" else None
    if found is None:
        return None
    words = list(WORD.finditer(text, at, found.end()))
    if name == "password" and looks_secret(words[0][0]):
        return None
    words = words[: phrase_ends([word[0] for word in words])]
    least = 2 if name == "phrase" else 3
    if not is_phrase([word[0] for word in words], least=least, given=link == "sign"):
        return None
    return at, words[-1].end()


def _judged(text: str, at: int, name: str, *, link: str) -> Place:
    """The value at `at`, if it is one, given how strongly it is tied to its label."""
    quoted = QUOTED.match(text, at)
    if quoted and link != "none":
        place = quoted.span(quoted.lastindex or 0)
        said = text[slice(*place)]
        return place if any(map(str.isalnum, said)) and said.casefold() not in ORDINARY else None
    found = (PARAMETER if link == "parameter" else WORD).match(text, at)
    value = _trimmed(text, *found.span()) if found else None
    return value if value and _is_secret(text, value, name, link=link) else None


def _is_secret(text: str, place: tuple[int, int], name: str, *, link: str) -> bool:
    value = text[slice(*place)]
    if len(value) > 200:
        return link in ("sign", "parameter") or looks_secret(value)
    if value[0] in "<[" or not any(map(str.isalnum, value)) or NOT_SECRET.fullmatch(value):
        return False
    if name in ("key", "token"):
        # Bare digits may be a serial number, as in "RSA token 109334551".
        least = FEWEST[name] if link in ("none", "weak") else 6
        return len(value) >= least and looks_secret(value)
    if name == "pass" and not looks_secret(value):
        return False
    if link == "none":
        return len(value) >= FEWEST[name] and looks_secret(value) and not value.isdigit()
    if looks_secret(value):
        return True
    word = value.casefold().strip("!'’(")
    if link == "weak" or is_about(word) or len(word) < 3:
        return False
    ends = bool(ENDS.match(text, place[1]))
    return ends or (link in ("sign", "parameter") and not is_talk(word))


def _trimmed(text: str, start: int, end: int) -> Place:
    """Without the marks of the sentence around it; a `!` may be the password's own."""
    while end > start and text[end - 1] in ".,;:?)]}\"'»”“ \t\r":
        end -= 1
    return (start, end) if end > start else None


def _of_pair(text: str, at: int) -> Place:
    """The second of "jdoe / hunter2" after "login:" or "credentials:"."""
    pair = PAIR.match(text, at)
    if pair is None:
        return None
    place = _trimmed(text, *pair.span("value"))
    return place if place and _is_secret(text, place, "password", link="none") else None


def _of_number(shape: re.Pattern[str], text: str, at: int) -> Place:
    """The digits after a label, with any link or none between."""
    tails = (NOTHING, TAIL, CODE_TAIL) if shape is CODE_NUMBER else (NOTHING, TAIL)
    for link in (tail.match(text, at) for tail in tails):
        if link:
            quote = 1 if text[link.end() : link.end() + 1] in tuple("\"'“") else 0
            if found := shape.match(text, link.end() + quote):
                return found.span()
    return None


def _on_next_line(text: str, label: Label) -> Place:
    """The value that has the next line for itself, below a label that has its own."""
    line = text.rfind("\n", max(0, label.start - 60), label.start) + 1
    before = text[line : label.start]
    below = NEXT_LINE.match(text, label.end)
    if below is None or not BEFORE_ON_LINE.fullmatch(before):
        return None
    start, end = below.span("value")
    value = text[start:end].rstrip()
    end = start + len(value)
    if label.name in ("pin", "code", "place"):
        shape = SHORT_NUMBER if label.name == "pin" else CODE_NUMBER
        return (start, end) if shape.fullmatch(value) else None
    if label.name == "phrase" and is_phrase(value.split(), least=2, given=False):
        return start, end
    if len(value.split()) != 1 or not _is_secret(text, (start, end), label.name, link="weak"):
        return None
    asked = any(is_about(word.casefold()) for word in before.split())
    return (start, end) if below["mark"] or not asked else None


def _before(text: str, label: Label, *, since: int) -> Place:
    """The value of "X is my password", "X (my password)", "with X as the password"."""
    if label.name in ("key", "token", "login") or HEADS.match(text, label.end):
        return None
    start = max(since, label.start - READ_ON // 2)
    words = list(WORD.finditer(text, start, label.start))[-7:]
    while words and words[-1][0].casefold() in BETWEEN:
        words.pop()
    opened = bool(words) and words[-1][0].startswith("(")
    if opened and words[-1][0][1:].casefold() in BETWEEN | {""}:
        words.pop()
    joined = len(words)
    while not opened and words and words[-1][0].casefold() in JOINS:
        words.pop()
    if not words or (not opened and joined == len(words)):
        return None
    place = _trimmed(text, *words[-1].span())
    if place is None or not _is_whole(text, place[0]):
        return None
    value = text[slice(*place)]
    if label.name in ("pin", "code", "place"):
        shape = SHORT_NUMBER if label.name == "pin" else CODE_NUMBER
        return place if shape.fullmatch(value) else None
    return place if stands_alone(value) else None


def _is_whole(text: str, at: int) -> bool:
    return at == 0 or text[at - 1].isspace()


def _said_again(text: str, label: Label, *, until: int) -> Place:
    """The value in one of the next two sentences: "I reset my password. It is X now."."""
    if label.name in ("pass", "key", "token", "login"):
        return None
    stop = min(label.end + READ_ON, until, len(text))
    first = SENTENCE_END.search(text, label.end, stop)
    if first is None:
        return None
    ends = list(SENTENCE_END.finditer(text, first.end(), stop))
    stop = ends[1].end() if len(ends) > 1 else stop
    for said in SAID_AGAIN.finditer(text, first.end(), stop):
        found = WORD.match(text, said.end())
        place = _trimmed(text, *found.span()) if found else None
        if place is None:
            continue
        value = text[slice(*place)]
        if label.name in ("pin", "code", "place"):
            if said["it"] and SHORT_NUMBER.fullmatch(value):
                return place
        elif stands_alone(value):
            return place
    return None
