"""Markdown that people wrote, as safe HTML."""

import re
from functools import lru_cache
from itertools import accumulate

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from app.models.characters import plain

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# What an article may hold: no images (they would call home), no classes, no styles.
MARKDOWN_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "ul", "ol", "li"),
    *("a", "strong", "em", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"),
}
MARKDOWN_KEPT = 128
BRACKETS = re.compile(r"[\[\]]")
BRACKETS_OPEN = 20


@lru_cache(maxsize=MARKDOWN_KEPT)
def markdown(text: str) -> Markup:
    """Markdown that people wrote, as HTML that may stand in a page; rendered once and kept."""
    html = MARKDOWN.render(_without_bracket_towers(plain(text)))
    clean = nh3.clean(
        html,
        tags=MARKDOWN_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(clean)


def _without_bracket_towers(text: str) -> str:
    """No links in paragraphs with many brackets open within each other.

    The renderer tries each as the start of a link or image, again within each open one.
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        part.replace("[", "&#91;") if _brackets_open(part) > BRACKETS_OPEN else part
        for part in paragraphs
    )


def _brackets_open(text: str) -> int:
    steps = (1 if bracket == "[" else -1 for bracket in BRACKETS.findall(text))
    return max(accumulate(steps, lambda depth, step: max(0, depth + step), initial=0))
