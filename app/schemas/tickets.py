"""JSON in and out of /api. Out-models are built from domain values by `.of()`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_serializer,
)

from app.models.tickets import SUBJECT_LENGTH, MaskedEvent, MaskedTicket, TicketStatus

TEXT_LENGTH = 100_000
HIGHEST_ID = 2**31 - 1
LONGEST_ID = len(str(HIGHEST_ID))


def storable(text: str) -> str:
    """Text that a database can keep. Raises ValueError for NUL or half a surrogate pair."""
    if "\x00" in text:
        raise ValueError("cannot contain a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("contains an incomplete character") from None
    return text


Storable = AfterValidator(storable)
Subject = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=SUBJECT_LENGTH),
    Storable,
]
# What hides a secret may be longer than the secret: measured again once that is put back.
MaskedSubject = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000), Storable
]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH), Storable]
NoteBody = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_LENGTH),
    Storable,
]
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), Storable]
# A filter in an address: what no database can look for is dropped.
Wanted = Annotated[str, AfterValidator(lambda text: text.replace("\x00", "").strip()[:200])]
Code = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), Storable]
PriorityName = Literal["low", "medium", "high", "urgent"]
StatusName = Literal["open", "in_progress", "pending", "resolved", "closed"]


def id_in(text: str) -> int | None:
    """The id that a filter in an address names, as 7 or #7; None when it names none."""
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_ID):
        return None
    return int(digits) if 0 < int(digits) <= HIGHEST_ID else None


class Problem(BaseModel):
    """Problem details (RFC 9457) with a stable `code`.

    `errors` has a message per field, `hint` the next step.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: str = ""
    errors: dict[str, str] = {}
    missing: list[str] = []


# What every JSON route may answer instead, for its OpenAPI text.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
    for status, words in {
        401: "Not logged in, or no valid API token",
        403: "Your role does not allow this",
        404: "Not found, or not visible to you",
        409: "Conflicts with the current state",
        413: "Too large",
        422: "The input is not valid",
        502: "ServiceNow cannot be used",
        503: "Temporarily unavailable. See Retry-After if present.",
    }.items()
}


class TicketIn(BaseModel):
    """A new ticket. `requester_email` is the account's own unless an agent says otherwise."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject
    description: Text = ""
    requester_email: Word = ""
    priority: PriorityName | None = None
    category: Word | None = None


class TicketChange(BaseModel):
    """Fields to change. Omitted fields stay as they are; null clears a field.

    Impact and urgency (1 high to 3 low) decide the priority by the desk's matrix.
    `assignment_group` is the sys_id or the name of one of the instance's groups.
    """

    model_config = ConfigDict(extra="forbid")

    subject: MaskedSubject | None = None
    description: Text | None = None
    priority: PriorityName | None = None
    impact: Literal[1, 2, 3] | None = None
    urgency: Literal[1, 2, 3] | None = None
    category: Word | None = None
    assignee: Word | None = None
    assignment_group: Word | None = None
    status: StatusName | None = None
    resolution_code: Code | None = None
    resolution_notes: Text | None = None

    def changes(self) -> dict[str, Any]:
        """Only what was named in the request."""
        return self.model_dump(exclude_unset=True)


class NoteIn(BaseModel):
    """A note. `internal` defaults to true for agents. `send` also sends it to ServiceNow."""

    model_config = ConfigDict(extra="forbid")

    body: NoteBody
    internal: bool | None = None
    send: bool | None = None


class TicketOut(BaseModel):
    """Every column of a ticket. `sn_sync_status` is null, ok or failed.

    Passwords, PINs, keys, tokens and card numbers in `subject`, `description` and
    `resolution_notes` are always shown as `[password hidden]` and the like; `secrets_hidden` says
    that there are some. Sent back in a PATCH as they are, they leave the text as it was.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    subject: str
    description: str
    requester_email: str
    status: StatusName
    priority: PriorityName | None
    impact: int | None
    urgency: int | None
    predicted_priority: PriorityName | None
    priority_confidence: float | None
    predicted_impact: int | None
    predicted_urgency: int | None
    category: str | None
    predicted_category: str | None
    category_confidence: float | None
    assignee: str | None
    assignment_group: str | None
    assignment_group_name: str | None
    resolution_code: str | None
    resolution_notes: str | None
    created_at: datetime
    updated_at: datetime
    sn_sys_id: str | None
    sn_number: str | None
    sn_last_sync_at: datetime | None
    sn_sync_status: Literal["ok", "failed"] | None
    sn_last_error: str | None
    secrets_hidden: bool

    @field_serializer("created_at", "updated_at", "sn_last_sync_at")
    def _utc(self, moment: datetime | None) -> datetime | None:
        return moment.astimezone(UTC) if moment else None

    @classmethod
    def of(cls, ticket: MaskedTicket) -> "TicketOut":
        return cls.model_validate(ticket)


class TicketsOut(BaseModel):
    """`next_cursor` is null at the end."""

    tickets: list[TicketOut]
    next_cursor: str | None


class NoteOut(BaseModel):
    """A note. Secrets in `body` are hidden; `secrets_hidden` is then true."""

    id: int
    ticket_id: int
    kind: Literal["comment", "internal_note"]
    author: str | None
    body: str
    created_at: datetime
    push: Literal["now", "later", "never"] | None
    secrets_hidden: bool

    @classmethod
    def of(cls, note: MaskedEvent) -> "NoteOut":
        return cls(
            id=note.id,
            ticket_id=note.ticket_id,
            kind="internal_note" if note.internal else "comment",
            author=note.author,
            body=note.body,
            created_at=note.created_at.astimezone(UTC),
            push=note.push.value if note.push else None,
            secrets_hidden=note.hidden > 0,
        )


class TicketQuery(BaseModel):
    """Ticket filters. `cursor` is `next_cursor` of the previous response.

    `conflict` leaves those that somebody changed here and in ServiceNow.
    """

    model_config = ConfigDict(extra="forbid")

    status: TicketStatus | None = None
    priority: PriorityName | None = None
    category: Annotated[str, Field(max_length=40), Storable] = ""
    q: Annotated[str, Field(max_length=200), Storable] = ""
    conflict: bool = False
    cursor: Annotated[str, Field(pattern="^([1-9][0-9]{0,9})?$")] = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class ArticleIn(BaseModel):
    """An article as its form sends it; `keywords` are separated by commas, `body` is Markdown."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable
    ]
    category: Word
    public: bool
    keywords: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Storable]
    body: NoteBody
