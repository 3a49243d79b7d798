"""Forms and JSON of conflicts."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.models.conflicts import SYNCED, Conflict, ConflictCard, Side

Choice = Literal["ours", "theirs"]
MaybeChoice = Literal["ours", "theirs", ""]
FieldName = Literal[
    "subject",
    "status",
    "priority",
    "category",
    "assignee",
    "assignment_group",
    "resolution_code",
    "resolution_notes",
]
Mark = Annotated[str, Field(max_length=64)]


class ChoicesForm(BaseModel):
    """The card's form: a choice per field, empty for a field that is left as it is."""

    seen: Mark = ""
    subject: MaybeChoice = ""
    status: MaybeChoice = ""
    priority: MaybeChoice = ""
    category: MaybeChoice = ""
    assignee: MaybeChoice = ""
    assignment_group: MaybeChoice = ""
    resolution_code: MaybeChoice = ""
    resolution_notes: MaybeChoice = ""

    def chosen(self) -> dict[str, str]:
        choices = {name: getattr(self, name) for name in SYNCED}
        return {name: choice for name, choice in choices.items() if choice}


class ChoicesIn(BaseModel):
    """`seen` identifies the conflicts you read. Without it, the latest are used."""

    model_config = ConfigDict(extra="forbid")

    choices: dict[FieldName, Choice]
    seen: Mark = ""

    def chosen(self) -> dict[str, str]:
        return {str(name): str(choice) for name, choice in self.choices.items()}


class SideOut(BaseModel):
    """`by` is an e-mail for the ticket and a user name for ServiceNow. Empty if unknown."""

    value: str | None
    shown: str
    by: str
    at: datetime | None

    @classmethod
    def of(cls, side: Side) -> "SideOut":
        at = side.at.astimezone(UTC) if side.at else None
        return cls(value=side.value, shown=side.shown, by=side.by, at=at)


class ConflictOut(BaseModel):
    """One field in conflict. `readable` is false if the ServiceNow value is not mapped.

    `overwritten`: theirs was changed while ours was being sent, so that ServiceNow has ours now.
    """

    field: FieldName
    ours: SideOut
    theirs: SideOut
    agreed: str
    readable: bool
    overwritten: bool

    @classmethod
    def of(cls, conflict: Conflict) -> "ConflictOut":
        return cls.model_validate(
            {
                "field": conflict.name,
                "ours": SideOut.of(conflict.ours),
                "theirs": SideOut.of(conflict.theirs),
                "agreed": conflict.agreed,
                "readable": conflict.readable,
                "overwritten": conflict.overwritten,
            }
        )


class ConflictsOut(BaseModel):
    ticket_id: int
    conflicts: list[ConflictOut]
    seen: str

    @classmethod
    def of(cls, card: ConflictCard) -> "ConflictsOut":
        return cls(
            ticket_id=card.ticket.id,
            conflicts=[ConflictOut.of(one) for one in card.conflicts],
            seen=card.seen,
        )
