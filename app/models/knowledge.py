"""Articles of the knowledge base, sources of suggestions and ratings."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from app.models.form_basis import Basis


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """The editable part of an article; `keywords` are separated by commas, `body` is Markdown."""

    title: str
    category: str
    public: bool
    keywords: str
    body: str

    @property
    def basis(self) -> Basis:
        """The basis of a form that shows this draft."""
        return Basis.of(asdict(self))


@dataclass(frozen=True, slots=True)
class Article:
    """An article. `updated_by` is an e-mail address, None for articles included with the app."""

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
        """The editable part."""
        return ArticleDraft(self.title, self.category, self.public, self.keywords, self.body)

    @property
    def audience(self) -> str:
        return "public" if self.public else "internal"


@dataclass(frozen=True, slots=True)
class ArticleList:
    """Articles that a viewer may read, with the filters `q` and `category`."""

    articles: tuple[Article, ...]
    q: str
    category: str


class SourceKind(StrEnum):
    """The kind of a suggestion's source."""

    ARTICLE = "article"
    TICKET = "ticket"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may be similar to a text, with the words of its problem."""

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
        """The name for people."""
        if self.kind is SourceKind.TICKET:
            return f"Ticket {self.ref}"
        return self.number or "Article"

    @property
    def href(self) -> str:
        return href_of(self.kind, self.ref)


def href_of(kind: SourceKind, ref: str) -> str:
    """The path of a source's page."""
    if kind is SourceKind.INCIDENT:
        return f"/servicenow/incidents/{ref}"
    return f"/{kind}s/{ref}"


@dataclass(frozen=True, slots=True)
class Match:
    """A similar source. Of `pairs` equally similar texts, `share` had the same category."""

    source: Source
    score: float
    share: float
    pairs: int


@dataclass(frozen=True, slots=True)
class SimilarView:
    """The sources similar to a ticket, most similar first; `basis` names the calibration data."""

    ticket_id: int
    matches: tuple[Match, ...]
    basis: str


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """The calibration of similarity scores: (lowest score, share, pairs) per bin."""

    bins: tuple[tuple[float, float, int], ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's rating of a source on a ticket, with an optional reason."""

    kind: SourceKind
    source: str
    author: str
    helpful: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """On how many tickets a source was suggested and used, and its ratings."""

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
