"""Retired words: one thing has one word, and docs/glossary.md has it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.test_docs import DOCUMENTS, ROOT

# The word and its standard term. None that Python, SQLAlchemy or the API uses.
RETIRED = {
    "owe": "enqueue",
    "owes": "has in the outbox",
    "debt": "outbox item",
    "pay": "deliver",
    "paying": "delivering",
    "pace": "rate limiter",
    "lane": "delivery worker",
    "lanes": "delivery workers",
    "certainty": "send guards",
    "arriving": "apply changes",
    "arrival": "apply changes",
    "fate": "row result",
    "fates": "row results",
    "tally": "counts",
    "twin": "duplicate",
    "twins": "duplicates",
    "overtaken": "lease lost, or edit conflict",
    "mirror": "cached incidents",
    "likeness": "similarity",
    "likest": "most similar",
    "assembly": "wiring",
    "governance": "Copilot settings",
    "suggesting": "suggestions",
    "bells": "wake-ups",
    "house": "architecture",
}
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# Values such as "owed" are a promise of the API.
QUOTED = re.compile(r'"[a-z]+"')
NAMES = ("id", "attr", "arg", "name", "asname")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code() -> Iterator[tuple[Path, str]]:
    """Each name and docstring of the app; migrations keep the words of their time."""
    for path in (ROOT / "app").rglob("*.py"):
        if "versions" in path.parts:
            continue
        yield path, path.stem
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = (getattr(node, name, None) for name in NAMES)
            yield from ((path, value) for value in values if isinstance(value, str))
            if isinstance(node, DOCUMENTED):
                yield path, ast.get_docstring(node) or ""


def pages() -> Iterator[tuple[Path, str]]:
    """Templates, with the names of their values, and the documents."""
    for folder in ("templates", "partials"):
        for path in (ROOT / folder).rglob("*.html"):
            yield path, QUOTED.sub("", path.read_text(encoding="utf-8"))
    for path in DOCUMENTS:
        yield path, re.sub(r"`[^`]*`", "", path.read_text(encoding="utf-8"))


def test_retired_words_are_not_used() -> None:
    found = {
        f"{path.relative_to(ROOT)}: “{word}” is “{RETIRED[word]}” now"
        for path, text in (*code(), *pages())
        for word in {part.lower() for part in PART.findall(text)} & RETIRED.keys()
    }
    assert sorted(found) == []


def test_the_list_stays_short_and_each_word_has_its_term() -> None:
    assert len(RETIRED) <= 40
    assert not RETIRED.keys() & {part for term in RETIRED.values() for part in term.split()}
