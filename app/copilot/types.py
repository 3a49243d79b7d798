"""What the engine takes and gives."""

from dataclasses import dataclass
from enum import StrEnum

from app.models.tickets import Priority


class SecretKind(StrEnum):
    """What a hidden text was; the word its placeholder shows."""

    PASSWORD = "password"
    PIN = "PIN"
    CODE = "code"
    KEY = "key"
    TOKEN = "token"
    CARD = "card number"
    PRIVATE_KEY = "private key"


@dataclass(frozen=True, slots=True)
class Span:
    """A secret's place in a text: `text[start:end]`."""

    start: int
    end: int
    kind: SecretKind


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled ticket. `impact` and `urgency` are 1 (high) to 3 (low); None: it tells neither."""

    category: str
    impact: int | None
    urgency: int | None
    subject: str
    description: str

    @property
    def text(self) -> str:
        return f"{self.subject}\n{self.description}"


@dataclass(frozen=True, slots=True)
class LabelledText:
    """What a model of categories learns from."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class CategoryPrediction:
    """A category with its confidence (0 to 1) and reasons; `value` is None for "not sure".

    `likeliest` is said in any case; both names are empty for a text of which nothing is known.
    The words stand in the text: leaving one of `words_for` out lowers the confidence in
    `likeliest`, leaving one of `words_against` out raises it. Strongest first, six at most.
    """

    value: str | None
    confidence: float
    model: str
    likeliest: str
    runner_up: str
    words_for: tuple[str, ...] = ()
    words_against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledPriority:
    """What a model of priority learns from. `impact` and `urgency` are 1 (high) to 3 (low)."""

    text: str
    impact: int
    urgency: int


@dataclass(frozen=True, slots=True)
class Level:
    """Impact or urgency, 1 to 3, with the phrases of the text that say so; None: unknown."""

    value: int | None
    confidence: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriorityPrediction:
    """A priority and the two levels that make it; None for a text of which nothing is known.

    `confidence` (0 to 1) is that of the priority: other levels may give the same one.
    """

    value: Priority | None
    confidence: float
    model: str
    impact: Level
    urgency: Level


@dataclass(frozen=True, slots=True)
class Article:
    """One page of the knowledge base. `audience` is public or internal."""

    slug: str
    title: str
    category: str
    audience: str
    keywords: tuple[str, ...]
    symptoms: tuple[str, ...]
    steps: tuple[str, ...]
    worked: str
    escalate: str


@dataclass(frozen=True, slots=True)
class Step:
    """A next step and the article it rests on."""

    text: str
    source_slug: str
    source_title: str
    audience: str


@dataclass(frozen=True, slots=True)
class TriageResult:
    """Everything triage says of one text."""

    category: CategoryPrediction
    priority: PriorityPrediction


# Impact x urgency to priority, as ServiceNow's data lookup has it (1 critical .. 5 planning).
PRIORITY_OF = {
    (1, 1): Priority.URGENT,
    (1, 2): Priority.HIGH,
    (2, 1): Priority.HIGH,
    (1, 3): Priority.MEDIUM,
    (2, 2): Priority.MEDIUM,
    (3, 1): Priority.MEDIUM,
    (2, 3): Priority.LOW,
    (3, 2): Priority.LOW,
    (3, 3): Priority.LOW,
}
