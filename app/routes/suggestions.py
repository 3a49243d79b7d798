"""What people say of the steps they were shown."""

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import Response

from app.deps import CurrentUser, Suggesting
from app.models import SourceKind, Vote
from app.schemas import HIGHEST_ID, Storable
from app.web import see_other

pages = APIRouter(prefix="/tickets", include_in_schema=False)


@pages.post("/{ticket_id}/suggestions/vote")
def vote(
    ticket_id: Annotated[int, Path(ge=1, le=HIGHEST_ID)],
    suggesting: Suggesting,
    user: CurrentUser,
    kind: Annotated[SourceKind, Form()] = SourceKind.ARTICLE,
    source: Annotated[str, Form(max_length=100), Storable] = "",
    helpful: Annotated[bool, Form()] = True,
    why: Annotated[str, Form(max_length=500), Storable] = "",
) -> Response:
    """Thumbs up or down, with a word of why."""
    said = Vote(kind, source, author=user.email, helpful=helpful, why=why.strip())
    suggesting.vote(ticket_id, said, by=user)
    return see_other(f"/tickets/{ticket_id}#suggestions")
