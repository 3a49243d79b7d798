"""What the Copilot knows on its first day: labelled examples and articles, as files."""

import csv
import re
from pathlib import Path

from app.copilot.categories import CATEGORIES
from app.copilot.values import Article, Example

HERE = Path(__file__).resolve().parent
NUMBERED = re.compile(r"\d+\.\s+(.*)")


def load_examples() -> tuple[Example, ...]:
    """Every starter example. Raises ValueError naming the file that cannot be read."""
    return tuple(
        example
        for category in CATEGORIES
        for example in _examples(HERE / "examples" / f"{category}.csv", category)
    )


def _examples(path: Path, category: str) -> list[Example]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [
                Example(
                    category=category,
                    impact=int(row["impact"]),
                    urgency=int(row["urgency"]),
                    subject=row["subject"],
                    description=row["description"],
                )
                for row in csv.DictReader(lines)
            ]
    except (KeyError, ValueError) as exc:
        raise ValueError(f"{path.name} cannot be read: {exc}") from exc


def load_articles() -> tuple[Article, ...]:
    """Every starter article. Raises ValueError naming the file that cannot be read."""
    return tuple(_article(path) for path in sorted((HERE / "articles").glob("*.md")))


def _article(path: Path) -> Article:
    head, *sections = path.read_text(encoding="utf-8").split("\n## ")
    title, *meta = head.strip().splitlines()
    facts = dict(line.split(": ", 1) for line in meta if ": " in line)
    bodies = {name: body for name, _, body in (part.partition("\n") for part in sections)}
    try:
        article = Article(
            slug=path.stem,
            title=title.removeprefix("# ").strip(),
            category=facts["category"],
            audience=facts["audience"],
            keywords=tuple(word.strip() for word in facts["keywords"].split(",")),
            symptoms=tuple(
                line[2:].strip()
                for line in bodies["Symptoms"].splitlines()
                if line.startswith("- ")
            ),
            steps=tuple(
                found[1].strip()
                for line in bodies["Steps"].splitlines()
                if (found := NUMBERED.match(line))
            ),
            worked=" ".join(bodies["It worked when"].split()),
            escalate=" ".join(bodies["Escalate when"].split()),
        )
    except KeyError as exc:
        raise ValueError(f"{path.name} lacks {exc}") from exc
    if article.category not in CATEGORIES or article.audience not in ("public", "internal"):
        raise ValueError(f"{path.name} has an unknown category or audience")
    return article
