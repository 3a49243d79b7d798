"""Ratings of suggestions."""

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import Response

from app.deps import Suggestions
from app.models.knowledge import SourceKind, Vote
from app.routes.ticket_page import Desk
from app.schemas.tickets import HIGHEST_ID, Storable

pages = APIRouter(prefix="/tickets", include_in_schema=False)


@pages.post("/{ticket_id}/suggestions/vote")
def vote(
    ticket_id: Annotated[int, Path(ge=1, le=HIGHEST_ID)],
    suggestions: Suggestions,
    desk: Desk,
    kind: Annotated[SourceKind, Form()] = SourceKind.ARTICLE,
    source: Annotated[str, Form(max_length=100), Storable] = "",
    helpful: Annotated[bool, Form()] = True,
    why: Annotated[str, Form(max_length=500), Storable] = "",
) -> Response:
    """Rate a suggestion as helpful or not, with an optional reason."""
    said = Vote(kind, source, author=desk.user.email, helpful=helpful, why=why.strip())
    suggestions.vote(ticket_id, said, by=desk.user)
    return desk.done(ticket_id, "Feedback saved.", anchor="suggestions")
