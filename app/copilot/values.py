"""What the engine takes and gives."""

from dataclasses import dataclass
from enum import StrEnum

from app.models import Priority


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
    """A labelled ticket. `impact` and `urgency` are 1 (high) to 3 (low)."""

    category: str
    impact: int
    urgency: int
    subject: str
    description: str

    @property
    def text(self) -> str:
        return f"{self.subject}\n{self.description}"


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
class Guess:
    """One predicted value with its confidence from 0 to 1; None means not sure."""

    value: str | None
    confidence: float
    model: str


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

    category: Guess
    priority: Guess
    suggestions: tuple[Step, ...]


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
