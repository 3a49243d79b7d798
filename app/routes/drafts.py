"""Drafts by a language model: preview of the prompt, then the draft to edit."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import CurrentUser, Drafting, LiveDrafting, require
from app.models.accounts import Role
from app.models.drafts import DraftKind
from app.models.tickets import RESOLUTION_CODES
from app.schemas.tickets import HIGHEST_ID
from app.web import fragment, is_partial, page

pages = APIRouter(
    prefix="/tickets/{ticket_id}/drafts",
    dependencies=[Depends(require(Role.AGENT))],
    include_in_schema=False,
)
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
Seen = Annotated[str, Form(max_length=64)]


@pages.get("/{kind}")
def preview(
    request: Request, ticket_id: Id, kind: DraftKind, drafting: Drafting, user: CurrentUser
) -> Response:
    """Show the exact prompt without sending it."""
    shown = drafting.preview(ticket_id, kind, by=user)
    answer = fragment if is_partial(request) else page
    return answer(request, "drafts/preview.html", preview=shown)


@pages.post("/{kind}")
def draft(
    request: Request,
    ticket_id: Id,
    kind: DraftKind,
    drafting: LiveDrafting,
    user: CurrentUser,
    seen: Seen = "",
) -> Response:
    """Send the prompt that was `seen` to the model, and show the draft in a form."""
    made = drafting.draft(ticket_id, kind, seen=seen, by=user)
    answer = fragment if is_partial(request) else page
    return answer(request, "drafts/draft.html", draft=made, codes=RESOLUTION_CODES)
