"""What was typed into a form, under the rules of the JSON door."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, TypeVar

from fastapi import Form, Request
from pydantic import BaseModel, ValidationError

from app.errors import Invalid, sentence
from app.schemas.tickets import HIGHEST_ID, id_in

# Longer than what is accepted, so that a text too long comes back in its form.
Typed = Annotated[str, Form(max_length=1_500_000)]
# What a form was filled from, as `Basis` writes it.
Seen = Annotated[str, Form(max_length=100_000)]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class DraftNote:
    """A note whose session ended before it was sent; it travels through the log-in form.

    `draft_by` is the account that wrote it, which is the only one to see it again.
    """

    draft_ticket: Annotated[int, Form(ge=0, le=HIGHEST_ID)] = 0
    draft_by: Annotated[int, Form()] = 0
    draft_kind: Typed = ""
    draft_body: Typed = ""

    @property
    def fields(self) -> dict[str, object]:
        """The hidden fields of a form that carries it."""
        return asdict(self) if self.draft_ticket and self.draft_body.strip() else {}


async def keep_note(request: Request) -> None:
    """Put the typed note where the log-in page finds it, should the session have ended."""
    form = await request.form()
    draft = DraftNote(
        draft_ticket=id_in(str(request.path_params["ticket_id"])) or 0,
        draft_by=id_in(str(form.get("by", ""))) or 0,
        draft_kind=str(form.get("kind", "")),
        draft_body=str(form.get("body", "")),
    )
    request.state.draft = draft.fields


def checked(model: type[Model], typed: Mapping[str, object]) -> Model:
    """What was typed, as the model has it. Raises Invalid, a sentence per field."""
    try:
        return model.model_validate(typed)
    except ValidationError as exc:
        fields = {str(error["loc"][0]): sentence(error) for error in exc.errors()}
        raise Invalid("Some fields cannot be used.", fields=fields) from exc
