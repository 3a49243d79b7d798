"""Articles for people: list and search, read, write."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response

from app.deps import Copilot, CurrentUser, Knowledge, Suggesting, require
from app.errors import Conflict, Invalid
from app.models import ArticleDraft, Role
from app.routes.forms import Typed, checked
from app.schemas import HIGHEST_ID, ArticleIn, Wanted
from app.web import fragment, is_partial, page, see_other

pages = APIRouter(prefix="/articles", include_in_schema=False)
agents = [Depends(require(Role.AGENT))]
admins = [Depends(require(Role.ADMIN))]
Slug = Annotated[str, Path(max_length=100, pattern="^[a-z0-9-]+$")]
# The headings that triage reads steps and symptoms from.
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
    """What the viewer may read; its list alone for htmx."""
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
    """The form of a new article, empty or drafted from a resolved ticket."""
    typed = asdict(knowledge.draft_from(ticket)) if ticket else {"body": SKELETON}
    return _form(request, copilot, typed=typed)


def draft_of(
    title: Typed = "",
    category: Typed = "",
    audience: Typed = "internal",
    keywords: Typed = "",
    body: Typed = "",
) -> dict[str, object]:
    """An article as typed; internal unless said otherwise."""
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
    """Add an article; its address is made from its title."""
    try:
        draft = ArticleDraft(**checked(ArticleIn, typed).model_dump())
        slug = knowledge.write(draft, by=user)
    except Invalid as exc:
        return _form(request, copilot, typed=typed, problem=exc)
    return see_other(f"/articles/{slug}")


@pages.get("/{slug}")
def show(
    request: Request, slug: Slug, knowledge: Knowledge, suggesting: Suggesting, user: CurrentUser
) -> Response:
    """One article; staff also see how it has done as a suggestion."""
    article = knowledge.read(slug, user)
    agent = user.role.may_act_as(Role.AGENT)
    figures = suggesting.figures(slug) if agent else None
    return page(request, "articles/show.html", article=article, figures=figures)


@pages.get("/{slug}/edit", dependencies=agents)
def edit(
    request: Request, slug: Slug, knowledge: Knowledge, copilot: Copilot, user: CurrentUser
) -> Response:
    article = knowledge.read(slug, user)
    return _form(request, copilot, typed=asdict(article), slug=slug, version=article.version)


@pages.post("/{slug}/edit", dependencies=agents)
def change(
    request: Request,
    slug: Slug,
    knowledge: Knowledge,
    copilot: Copilot,
    user: CurrentUser,
    version: Annotated[int, Form()],
    typed: TypedArticle,
) -> Response:
    """Write a new version; `version` is what the form was filled from."""
    try:
        draft = ArticleDraft(**checked(ArticleIn, typed).model_dump())
        knowledge.change(slug, draft, by=user, version=version)
    except Invalid as exc:
        return _form(request, copilot, typed=typed, problem=exc, slug=slug, version=version)
    except Conflict as exc:
        version = knowledge.read(slug, user).version
        return _form(request, copilot, typed=typed, problem=exc, slug=slug, version=version)
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
    version: int = 0,
) -> Response:
    """The form of a new article, or of `slug`."""
    return page(
        request,
        "articles/form.html",
        status_code=problem.status if problem else 200,
        categories=copilot.categories(),
        typed=typed,
        problem=problem,
        errors=problem.fields if isinstance(problem, Invalid) else {},
        slug=slug,
        version=version,
    )
