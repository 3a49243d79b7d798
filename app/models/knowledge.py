"""Articles of the knowledge base."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """What somebody writes; `keywords` are separated by commas, `body` is Markdown."""

    title: str
    category: str
    public: bool
    keywords: str
    body: str


@dataclass(frozen=True, slots=True)
class Article:
    """One page of the knowledge base. `updated_by` is an address, None for what came with us."""

    id: int
    slug: str
    title: str
    category: str
    public: bool
    keywords: str
    body: str
    version: int
    updated_at: datetime
    updated_by: str | None

    @property
    def audience(self) -> str:
        return "public" if self.public else "internal"


@dataclass(frozen=True, slots=True)
class ArticleList:
    """Articles a viewer may read; `q` and `category` are what was asked for."""

    articles: tuple[Article, ...]
    q: str
    category: str
