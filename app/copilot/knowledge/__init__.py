"""What the Copilot knows on its first day: labelled examples and articles, as files."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.copilot.articles import article_of
from app.copilot.categories import CATEGORIES
from app.copilot.types import Article, Example, LabelledPriority, LabelledText

HERE = Path(__file__).resolve().parent
ARTICLES = HERE / "articles"


@dataclass(frozen=True, slots=True)
class StarterArticle:
    """An article as its file has it; `keywords` are separated by commas, `body` is Markdown."""

    slug: str
    title: str
    category: str
    audience: str
    keywords: str
    body: str


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
                    impact=int(row["impact"]) if row["impact"] else None,
                    urgency=int(row["urgency"]) if row["urgency"] else None,
                    subject=row["subject"],
                    description=row["description"],
                )
                for row in csv.DictReader(lines)
            ]
    except (KeyError, ValueError) as exc:
        raise ValueError(f"{path.name} cannot be read: {exc}") from exc


def starter_categories() -> tuple[LabelledText, ...]:
    """What a model of categories learns from on the first day."""
    return tuple(LabelledText(one.text, one.category) for one in load_examples())


def starter_priorities() -> tuple[LabelledPriority, ...]:
    """What a model of priority learns from on the first day."""
    return tuple(
        LabelledPriority(one.text, one.impact, one.urgency)
        for one in load_examples()
        if one.impact is not None and one.urgency is not None
    )


def load_articles() -> tuple[Article, ...]:
    """Every starter article, read. Raises ValueError naming the file that cannot be read."""
    return tuple(
        article_of(
            slug=starter.slug,
            title=starter.title,
            category=starter.category,
            audience=starter.audience,
            keywords=starter.keywords,
            body=starter.body,
        )
        for starter in load_starters(starter_slugs())
    )


def starter_slugs() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in ARTICLES.glob("*.md")))


def load_starters(slugs: Iterable[str]) -> tuple[StarterArticle, ...]:
    """These starter articles as their files have them. Raises ValueError naming a bad file."""
    return tuple(_starter(ARTICLES / f"{slug}.md") for slug in slugs)


def _starter(path: Path) -> StarterArticle:
    head, heading, rest = path.read_text(encoding="utf-8").partition("\n## ")
    title, *meta = head.strip().splitlines()
    facts = dict(line.split(": ", 1) for line in meta if ": " in line)
    try:
        starter = StarterArticle(
            slug=path.stem,
            title=title.removeprefix("# ").strip(),
            category=facts["category"],
            audience=facts["audience"],
            keywords=facts["keywords"].strip(),
            body=(heading + rest).strip() + "\n",
        )
    except KeyError as exc:
        raise ValueError(f"{path.name} lacks {exc}") from exc
    if starter.category not in CATEGORIES or starter.audience not in ("public", "internal"):
        raise ValueError(f"{path.name} has an unknown category or audience")
    return starter
