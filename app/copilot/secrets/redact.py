"""Secrets in ticket text, found and hidden. Pure: nothing is kept, nothing is asked.

Two maskings. `masked` is for every reader and every store outside the ticket itself: passwords,
PINs, codes, keys, tokens and card numbers become `[password hidden]` and the like, one way.
`masked_for_llm` hides personal data too, two ways: an answer is given its e-mail addresses,
phone numbers and IP addresses back by `restored`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.copilot.html_text import as_text
from app.copilot.secrets.labelled import labelled
from app.copilot.secrets.patterns import shaped
from app.copilot.types import SecretKind, Span
from app.models.characters import plain

# What `masked` wrote is never read again: masking twice is masking once.
PLACEHOLDER = re.compile(rf"\[({'|'.join(SecretKind)}) hidden\]")
PERSONAL = re.compile(
    r"(?P<email>(?<![\w.+-])[\w.+-]+@[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+)"
    r"|(?P<IP>(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"
    r"(?![\w]|\.\d)"
    r"|(?<![\w:])(?:(?=[0-9a-f:]*::)(?:[0-9a-f]{0,4}:){2,7}|(?:[0-9a-f]{1,4}:){7})"
    r"[0-9a-f]{1,4}(?![\w:]))"
    r"|(?P<phone>(?<![\w.+/-])(?:\+|\(0|0(?=\d))[\d ()./-]{6,20}\d(?!\w)"
    r"|(?<![\w.+/-])\(?\d{3}\)?[ .-]\d{3}[ .-]?\d{4}(?!\w)"
    r"|\b(?:phone|tel|telefon|mobile|mobil|handy|call(?: me)?(?: at| on| back)?|teléfono|tél)"
    r"[.:]{0,2} {0,3}(?P<number>\d[\d /.-]{2,18}\d)(?!\w))",
    re.IGNORECASE,
)
NAMED = re.compile(r"\[(?:email|phone|IP) \d{1,6}\]", re.IGNORECASE)


def secrets_in(text: str) -> tuple[Span, ...]:
    """Where the secrets are: in order, without overlap."""
    found: list[Span] = []
    pieces = list(_between(text, PLACEHOLDER.finditer(text)))
    while pieces:
        start, piece = pieces.pop()
        here = _merged([*shaped(piece), *labelled(piece)])
        found += [Span(start + one.start, start + one.end, one.kind) for one in here]
        # A hidden secret may have stood in the way of the next: what is left is read again.
        if here:
            pieces += [(start + at, rest) for at, rest in _rests(piece, here)]
    return tuple(sorted(found, key=lambda span: span.start))


def masked(text: str) -> str:
    """The text with every secret hidden. Masking twice is the same as once.

    Characters that only mislead are gone too: they could hide a secret, or its label.
    """
    text = plain(text)
    return _replaced(text, [(s.start, s.end, f"[{s.kind} hidden]") for s in secrets_in(text)])


def without_secrets(text: str) -> str:
    """The text as one that learns from it reads it: what was hidden is not a word of its own."""
    return PLACEHOLDER.sub(" ", masked(as_text(text)))


def unmasked(text: str, original: str) -> str:
    """An edited text whose placeholders stand for what they hid in the original, in its order.

    When some were added or taken away, none can be told from another and all stay placeholders.
    """
    original = plain(original)
    spans = [(s.start, str(s.kind), original[s.start : s.end]) for s in secrets_in(original)]
    spans += [(found.start(), found[1], found[0]) for found in PLACEHOLDER.finditer(original)]
    spans.sort()
    if PLACEHOLDER.findall(text) != [kind for _, kind, _ in spans]:
        return text
    meant = iter(spans)
    return PLACEHOLDER.sub(lambda _: next(meant)[2], text)


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text fit to leave the machine, and what its numbered placeholders stand for."""

    text: str
    originals: Mapping[str, str]

    def restored(self, answer: str) -> str:
        """The answer with personal data put back; secrets stay hidden."""
        return NAMED.sub(
            lambda found: self.originals.get(found[0].casefold(), found[0]),
            answer,
        )


def masked_for_llm(text: str) -> MaskedText:
    """Secrets hidden for good; addresses and numbers of people as `[email 1]`, `[phone 1]`."""
    hidden = masked(text)
    taken = {found[0].casefold() for found in NAMED.finditer(hidden)}
    names: dict[str, str] = {}
    places: list[tuple[int, int, str]] = []
    counts = {"email": 0, "phone": 0, "IP": 0}
    for found in PERSONAL.finditer(hidden):
        kind = "email" if found["email"] else "IP" if found["IP"] else "phone"
        group = "number" if found["number"] else 0
        value = found[group]
        if kind == "phone" and not 4 <= sum(map(str.isdigit, value)) <= 15:
            continue
        while value not in names:
            counts[kind] += 1
            name = f"[{kind} {counts[kind]}]"
            if name.casefold() not in taken:
                names[value] = name
        places.append((found.start(group), found.end(group), names[value]))
    return MaskedText(
        text=_replaced(hidden, places),
        originals={name.casefold(): value for value, name in names.items()},
    )


def _between(text: str, walls: Iterator[re.Match[str]]) -> Iterator[tuple[int, str]]:
    """The pieces of text between the walls, each with where it starts."""
    at = 0
    for wall in walls:
        yield at, text[at : wall.start()]
        at = wall.end()
    yield at, text[at:]


def _rests(text: str, spans: list[Span]) -> Iterator[tuple[int, str]]:
    at = 0
    for span in spans:
        yield at, text[at : span.start]
        at = span.end
    yield at, text[at:]


def _merged(spans: list[Span]) -> list[Span]:
    """Overlapping spans as one, of the kind that begins first (the longer of two that do)."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        last = merged[-1] if merged else None
        if last and span.start < last.end:
            merged[-1] = Span(last.start, max(last.end, span.end), last.kind)
        else:
            merged.append(span)
    return merged


def _replaced(text: str, places: list[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, words in places:
        parts += (text[at:start], words)
        at = end
    return "".join((*parts, text[at:]))
