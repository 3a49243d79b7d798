"""Articles of the knowledge base."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from app.models.form_basis import Basis


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """What somebody writes; `keywords` are separated by commas, `body` is Markdown."""

    title: str
    category: str
    public: bool
    keywords: str
    body: str

    @property
    def basis(self) -> Basis:
        """What a form that shows this was filled from."""
        return Basis.of(asdict(self))


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
    def draft(self) -> ArticleDraft:
        """What of it is written by people."""
        return ArticleDraft(self.title, self.category, self.public, self.keywords, self.body)

    @property
    def audience(self) -> str:
        return "public" if self.public else "internal"


@dataclass(frozen=True, slots=True)
class ArticleList:
    """Articles a viewer may read; `q` and `category` are what was asked for."""

    articles: tuple[Article, ...]
    q: str
    category: str


class SourceKind(StrEnum):
    """What a suggestion can rest on."""

    ARTICLE = "article"
    TICKET = "ticket"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may resemble a text, and the words it was told with."""

    kind: SourceKind
    ref: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved ticket, a resolved incident or an article; `ref` is its id, sys_id or slug."""

    kind: SourceKind
    ref: str
    title: str
    updated_at: datetime
    resolution: str
    number: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        if self.kind is SourceKind.TICKET:
            return f"Ticket {self.ref}"
        return self.number or "Article"

    @property
    def href(self) -> str:
        return href_of(self.kind, self.ref)


def href_of(kind: SourceKind, ref: str) -> str:
    """Where a source is read."""
    if kind is SourceKind.INCIDENT:
        return f"/servicenow/incidents/{ref}"
    return f"/{kind}s/{ref}"


@dataclass(frozen=True, slots=True)
class Match:
    """A source with its likeness, and what that likeness meant: `share` of `pairs` pairs of texts
    that were as much alike had the same category."""

    source: Source
    score: float
    share: float
    pairs: int


@dataclass(frozen=True, slots=True)
class SimilarView:
    """What resembles a ticket, the likest first. `basis` says whose pairs were counted."""

    ticket_id: int
    matches: tuple[Match, ...]
    basis: str


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """What scores have meant on this desk: (lowest score, share, pairs) a bin."""

    bins: tuple[tuple[float, float, int], ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Vote:
    """What a person says of a source under a ticket, with a word of why."""

    kind: SourceKind
    source: str
    author: str
    helpful: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """On how many tickets a source was suggested and used, and how people found it."""

    suggested: int
    used: int
    helpful: int
    not_helpful: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A public article that may answer a question."""

    slug: str
    title: str
    steps: tuple[str, ...]
    worked: str
