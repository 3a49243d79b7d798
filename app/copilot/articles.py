"""Reading an article's Markdown: what it is found by, and the steps it offers."""

import re

from app.copilot.secrets.redact import masked
from app.copilot.text import cleaned
from app.copilot.types import Article

NUMBERED = re.compile(r"\d{1,3}[.)]\s+(.*)")
BULLET = re.compile(r"[-*+]\s+(.*)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
TOLD_LINES = 8
LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
MARKS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")


def article_of(
    *, slug: str, title: str, category: str, audience: str, keywords: str, body: str
) -> Article:
    """The article as triage reads it. A body without our headings is read as far as it goes."""
    sections = _sections(body)
    steps = _items(sections.get("steps", body), NUMBERED)
    symptoms = _items(sections.get("symptoms", ""), BULLET)
    return Article(
        slug=slug,
        title=title,
        category=category,
        audience=audience,
        keywords=tuple(word.strip() for word in keywords.split(",") if word.strip()),
        symptoms=symptoms or _sentences(sections.get("", "")),
        steps=steps or _items(sections.get("steps", ""), BULLET),
        worked=" ".join(sections.get("it worked when", "").split()),
        escalate=" ".join(sections.get("escalate when", "").split()),
    )


def drafted(subject: str, description: str, resolution: str) -> str:
    """An article's body from a resolved ticket, to be gone over by a person; secrets masked."""
    told = [line.strip() for line in masked(cleaned(description)).splitlines() if line.strip()]
    symptoms = "\n".join(f"- {line}" for line in [masked(subject), *told[:TOLD_LINES]])
    done = [line.strip() for line in masked(resolution).splitlines() if line.strip()]
    if len(done) == 1:
        done = SENTENCE_END.split(done[0])
    steps = "\n".join(f"{number}. {_bare(line)}" for number, line in enumerate(done, start=1))
    return (
        f"## Symptoms\n{symptoms}\n\n## Steps\n{steps}\n\n"
        "## It worked when\n\n\n## Escalate when\n\n"
    )


def _bare(line: str) -> str:
    """The line without the mark of a list that it may have been in."""
    found = NUMBERED.match(line) or BULLET.match(line)
    return found[1] if found else line


def _sections(body: str) -> dict[str, str]:
    """The text under each heading, by its words in lower case; "" is what stands before."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in body.splitlines():
        if line.startswith("#"):
            heading = line.strip("# \t").casefold()
            found.setdefault(heading, [])
        else:
            found[heading].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def _items(text: str, marker: re.Pattern[str]) -> tuple[str, ...]:
    """The entries of a list; indented lines go on with the entry above them."""
    items: list[list[str]] = []
    for line in text.splitlines():
        if found := marker.match(line.strip()):
            items.append([found[1]])
        elif items and line[:1].isspace() and line.strip():
            items[-1].append(line.strip())
    return tuple(plain(" ".join(item)) for item in items)


def _sentences(text: str) -> tuple[str, ...]:
    """Lines that are prose, not entries of a list of steps."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(plain(line) for line in lines if line and not NUMBERED.match(line))


def plain(text: str) -> str:
    """One line of Markdown as the words a reader sees."""
    return MARKS.sub(r"\2", LINK.sub(r"\1", text)).strip()
