"""The Ask page: suggested fixes for a described problem, or a ticket."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.deps import CurrentUser, Suggestions, Tickets
from app.errors import Invalid
from app.models.tickets import SUBJECT_LENGTH, NewTicket
from app.routes.forms import Typed, checked
from app.schemas.tickets import Storable, TicketIn
from app.web import fragment, is_partial, page, see_other

pages = APIRouter(prefix="/ask", include_in_schema=False)
Key = Annotated[str, Form(max_length=40), Storable]
SHORT_SUBJECT = 120


@pages.get("")
def ask(request: Request, _: CurrentUser, helped: bool = False) -> Response:
    return _page(request, helped=helped)


@pages.post("")
def answers(
    request: Request, suggestions: Suggestions, _: CurrentUser, text: Typed = "", key: Key = ""
) -> Response:
    """Suggest fixes for a description; only the list for htmx.

    A POST request, so that the description does not appear in access logs.
    """
    found = suggestions.answers(text)
    if is_partial(request):
        return fragment(request, "ask/answers.html", answers=found, asked=bool(text.strip()))
    return _page(request, answers=found, text=text, key=key)


@pages.post("/helped")
def helped(
    suggestions: Suggestions,
    user: CurrentUser,
    slug: Annotated[str, Form(max_length=100), Storable] = "",
    text: Typed = "",
    key: Key = "",
) -> Response:
    """Record that an article solved the problem without a ticket."""
    asked = str(checked(TicketIn, {"subject": "x", "description": text}).description)
    suggestions.helped(slug, asked, key=key or uuid.uuid4().hex, viewer=user)
    return see_other("/ask?helped=true")


@pages.post("/ticket")
def open_ticket(
    request: Request, tickets: Tickets, user: CurrentUser, text: Typed = "", key: Key = ""
) -> Response:
    """Create a ticket from the description; its first line is the subject."""
    typed = {"subject": subject_of(text), "description": text.replace("\r\n", "\n").strip()}
    try:
        wanted = NewTicket(**checked(TicketIn, typed).model_dump())
        ticket, _ = tickets.create(wanted, by=user, idempotency_key=f"ask-{key}" if key else "")
    except Invalid as exc:
        return _page(request, text=text, key=key, problem=exc)
    return see_other(f"/tickets/{ticket.id}")


def subject_of(text: str) -> str:
    """The first line of a text, shortened at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if len(line) <= SHORT_SUBJECT:
        return line
    cut = line[: SHORT_SUBJECT - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut)[: SUBJECT_LENGTH - 1] + "…"


def _page(
    request: Request,
    *,
    answers: object = (),
    text: str = "",
    key: str = "",
    helped: bool = False,
    problem: Invalid | None = None,
) -> Response:
    return page(
        request,
        "ask/index.html",
        status_code=problem.status if problem else 200,
        answers=answers,
        asked=bool(text.strip()) and problem is None,
        text=text,
        key=key or uuid.uuid4().hex,
        helped=helped,
        problem=problem,
    )
