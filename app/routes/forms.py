"""Form values, validated by the schemas of the API."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, TypeVar

from fastapi import Form, Request
from pydantic import BaseModel, ValidationError

from app.errors import Invalid, sentence
from app.schemas.tickets import HIGHEST_ID, id_in

# Longer than any accepted text, so that a text that is too long is shown again in its form.
Typed = Annotated[str, Form(max_length=1_500_000)]
# The basis of a form, as text of `Basis`.
Seen = Annotated[str, Form(max_length=100_000)]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class DraftNote:
    """An unsent note of an ended session, carried through the log-in form.

    `draft_by` is the account that wrote it; only this account sees it again.
    """

    draft_ticket: Annotated[int, Form(ge=0, le=HIGHEST_ID)] = 0
    draft_by: Annotated[int, Form()] = 0
    draft_kind: Typed = ""
    draft_body: Typed = ""

    @property
    def fields(self) -> dict[str, object]:
        """The hidden form fields that carry the note."""
        return asdict(self) if self.draft_ticket and self.draft_body.strip() else {}


async def keep_note(request: Request) -> None:
    """Store the note for the log-in page in case the session has ended."""
    form = await request.form()
    draft = DraftNote(
        draft_ticket=id_in(str(request.path_params["ticket_id"])) or 0,
        draft_by=id_in(str(form.get("by", ""))) or 0,
        draft_kind=str(form.get("kind", "")),
        draft_body=str(form.get("body", "")),
    )
    request.state.draft = draft.fields


def checked(model: type[Model], typed: Mapping[str, object]) -> Model:
    """Validate form values with a schema. Raises Invalid with one message per field."""
    try:
        return model.model_validate(typed)
    except ValidationError as exc:
        fields = {str(error["loc"][0]): sentence(error) for error in exc.errors()}
        raise Invalid("Check these fields:", fields=fields) from exc
