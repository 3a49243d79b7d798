"""Pages of the knowledge base."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.deps import Copilot, CurrentUser, Knowledge, Suggestions, require
from app.errors import Conflict, Invalid
from app.models.accounts import Role
from app.models.form_basis import Basis
from app.models.knowledge import ArticleDraft
from app.routes.forms import Seen, Typed, checked
from app.schemas.tickets import HIGHEST_ID, ArticleIn, Wanted
from app.web import fragment, is_partial, page, see_other

pages = APIRouter(prefix="/articles", include_in_schema=False)
agents = [Depends(require(Role.AGENT))]
admins = [Depends(require(Role.ADMIN))]
Slug = Annotated[str, Path(max_length=100, pattern="^[a-z0-9-]+$")]
# The headings from which steps and symptoms are read.
SKELETON = "## Symptoms\n- \n\n## Steps\n1. \n\n## It worked when\n\n\n## Escalate when\n\n"


@pages.get("")
def index(
    request: Request,
    knowledge: Knowledge,
    copilot: Copilot,
    user: CurrentUser,
    q: Wanted = "",
    category: Wanted = "",
) -> Response:
    """List and search articles; only the list for htmx."""
    shown = knowledge.list(user, q=q, category=category)
    if is_partial(request):
        return fragment(request, "articles/list.html", shown=shown)
    return page(request, "articles/index.html", shown=shown, categories=copilot.categories())


@pages.get("/new", dependencies=agents)
def new(
    request: Request,
    knowledge: Knowledge,
    copilot: Copilot,
    ticket: Annotated[int | None, Query(ge=1, le=HIGHEST_ID)] = None,
) -> Response:
    """Show the form for a new article, empty or drafted from a resolved ticket."""
    typed = asdict(knowledge.draft_from(ticket)) if ticket else {"body": SKELETON}
    return _form(request, copilot, typed=typed)


def draft_of(
    title: Typed = "",
    category: Typed = "",
    audience: Typed = "internal",
    keywords: Typed = "",
    body: Typed = "",
) -> dict[str, object]:
    """The values of an article form; internal by default."""
    return {
        "title": title,
        "category": category,
        "public": audience == "public",
        "keywords": keywords,
        "body": body.replace("\r\n", "\n"),
    }


TypedArticle = Annotated[dict[str, object], Depends(draft_of)]


@pages.post("", dependencies=agents)
def create(
    request: Request, knowledge: Knowledge, copilot: Copilot, user: CurrentUser, typed: TypedArticle
) -> Response:
    """Add an article; its slug is made from its title."""
    try:
        draft = ArticleDraft(**checked(ArticleIn, typed).model_dump())
        slug = knowledge.write(draft, by=user)
    except Invalid as exc:
        return _form(request, copilot, typed=typed, problem=exc)
    return see_other(f"/articles/{slug}")


@pages.get("/{slug}")
def show(
    request: Request,
    slug: Slug,
    knowledge: Knowledge,
    suggestions: Suggestions,
    user: CurrentUser,
) -> Response:
    """Show an article, to staff with its usage as a suggestion."""
    article = knowledge.read(slug, user)
    agent = user.role.may_act_as(Role.AGENT)
    figures = suggestions.figures(slug) if agent else None
    return page(request, "articles/show.html", article=article, figures=figures)


@pages.get("/{slug}/edit", dependencies=agents)
def edit(
    request: Request, slug: Slug, knowledge: Knowledge, copilot: Copilot, user: CurrentUser
) -> Response:
    article = knowledge.read(slug, user)
    typed, seen = asdict(article.draft), str(article.draft.basis)
    return _form(request, copilot, typed=typed, slug=slug, seen=seen)


@pages.post("/{slug}/edit", dependencies=agents)
def change(
    request: Request,
    slug: Slug,
    knowledge: Knowledge,
    copilot: Copilot,
    user: CurrentUser,
    typed: TypedArticle,
    seen: Seen = "",
) -> Response:
    """Write a new version with the changes; `seen` is the form's basis."""
    basis = Basis.parse(seen)
    try:
        draft = ArticleDraft(**checked(ArticleIn, typed).model_dump())
        knowledge.change(slug, draft, by=user, basis=basis)
    except Invalid as exc:
        return _form(request, copilot, typed=typed, problem=exc, slug=slug, seen=seen)
    except Conflict as exc:
        now = knowledge.read(slug, user).draft
        typed = asdict(now) | basis.own(typed)
        return _form(request, copilot, typed=typed, problem=exc, slug=slug, seen=str(now.basis))
    return see_other(f"/articles/{slug}")


@pages.post("/{slug}/delete", dependencies=admins)
def delete(slug: Slug, knowledge: Knowledge, user: CurrentUser) -> Response:
    knowledge.remove(slug, by=user)
    return see_other("/articles")


def _form(
    request: Request,
    copilot: Copilot,
    *,
    typed: Mapping[str, object],
    problem: Invalid | Conflict | None = None,
    slug: str | None = None,
    seen: str = "",
) -> Response:
    """The form for a new article, or for the article `slug`."""
    return page(
        request,
        "articles/form.html",
        status_code=problem.status if problem else 200,
        categories=copilot.categories(),
        typed=typed,
        problem=problem,
        errors=problem.fields if problem else {},
        slug=slug,
        seen=seen,
    )
