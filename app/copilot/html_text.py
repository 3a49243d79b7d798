"""The words of a mail that came as HTML. Safe: what is left is text, to be escaped like any."""

import re
from html import unescape

# How such a mail begins, at the start of a line.
START = re.compile(
    r"^[ \t]*<(?:!doctype html|html|head|body|meta|style|div|p|table|span|font|br|b|strong|ul|ol"
    r"|h[1-6])(?:[ \t\r\n][^<>]*)?/?>",
    re.IGNORECASE | re.MULTILINE,
)
MARKUP = re.compile(r"</(?:html|body|div|p|table|span|font|ul|ol|h[1-6])[ \t]*>|<br[ /]*>", re.I)
TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-z][a-z0-9:]*)(?:[\s/][^<>]*)?>|<!--|<![^<>]*>", re.I)
UNSEEN = frozenset({"style", "script", "head", "title", "template", "noscript"})
LINE_TAGS = """
address article blockquote br dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre
section table tr ul
"""
LINES = frozenset(LINE_TAGS.split())
BLANKS = re.compile(r"[^\S\n]+")
EMPTY_LINES = re.compile(r"\n{3,}")


def as_text(text: str, *, from_any_line: bool = False) -> str:
    """The text itself, or the words of one that is HTML from its start to its end.

    `from_any_line` lets it start at a later line. A text that only quotes a tag stays as it is.
    The time is linear in the length.
    """
    if "<" not in text or not text.rstrip().endswith(">"):
        return text
    begun = START.search(text)
    if begun is None or not MARKUP.search(text, begun.start()):
        return text
    before = text[: begun.start()]
    if before.strip() and not from_any_line:
        return text
    return (before + _words(text[begun.start() :])).strip()


def _words(html: str) -> str:
    parts: list[str] = []
    at = 0
    for tag in TAG.finditer(html):
        if tag.start() < at:
            continue
        parts.append(_joined(html[at : tag.start()]))
        name = (tag["name"] or "").lower()
        at = tag.end()
        if tag[0] == "<!--":
            at = _after(html, "-->", at)
        elif name in UNSEEN and not tag["end"]:
            at = _after(html, f"</{name}", at, closing=True)
        elif name in LINES:
            parts.append("\n- " if name == "li" and not tag["end"] else "\n")
        elif name in ("td", "th"):
            parts.append(" ")
    parts.append(_joined(html[at:]))
    lines = (BLANKS.sub(" ", line).strip() for line in "".join(parts).split("\n"))
    return EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _joined(text: str) -> str:
    """Text between tags: its line breaks mean nothing, its entities are characters."""
    return unescape(text.replace("\r", " ").replace("\n", " "))


def _after(html: str, mark: str, at: int, *, closing: bool = False) -> int:
    """Behind the mark, or the end: what is never closed is not shown."""
    found = html.lower().find(mark, at) if closing else html.find(mark, at)
    if found < 0:
        return len(html)
    return html.find(">", found) + 1 or len(html) if closing else found + len(mark)
