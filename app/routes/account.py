"""Coming in and going out, one's own password and API tokens.

A form that cannot be used is shown again with what was typed: the one reason for a try here.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import Accounts, CurrentUser, require
from app.errors import AppError, Invalid, NotFound, TooManyAttempts
from app.models import Role, User
from app.routes.forms import DraftNote
from app.routes.ticket_page import TicketParts
from app.security import SESSION_COOKIE, local_path
from app.services.accounts import SESSION_LASTS, AccountService
from app.web import fragment, is_partial, page, see_other

HASHES_AT_ONCE = 2
pages = APIRouter(include_in_schema=False)
agents = [Depends(require(Role.AGENT))]

Text = Annotated[str, Form()]
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]


async def hashing_accounts(accounts: Accounts) -> AsyncIterator[AccountService]:
    """For routes that hash a password, which takes much memory: the third waits here."""
    yield accounts


HashingAccounts = Annotated[
    AccountService,
    Depends(hashing_accounts, scope="function", max_concurrency=HASHES_AT_ONCE),
]


# -- in and out ------------------------------------------------------------------------------


@pages.get("/login")
def login(request: Request, accounts: Accounts, next: str = "") -> Response:  # noqa: A002
    """The log-in form; people who are in already go on to where they wanted."""
    if accounts.user_of_session(request.cookies.get(SESSION_COOKIE)):
        return see_other(local_path(next))
    return _login_form(request, target=next)


@pages.post("/login")
def log_in(
    request: Request,
    accounts: HashingAccounts,
    parts: Annotated[TicketParts, Depends()],
    draft: Annotated[DraftNote, Depends()],
    email: Text = "",
    password: Text = "",
    target: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Start a session and go on to `next`, or to the note that the last one ended before."""
    try:
        cookie = accounts.sign_in(email, password, request.client.host if request.client else "")
    except (Invalid, TooManyAttempts) as exc:
        return _login_form(request, target=target, email=email, error=exc, draft=draft)
    user = accounts.user_of_session(cookie)
    resumed = _resumed(parts, user, draft) if user else None
    response = resumed or see_other(local_path(target))
    public_url: str = request.app.state.settings.public_url
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=public_url.startswith("https"),
    )
    return response


@pages.post("/logout")
def log_out(request: Request, accounts: Accounts) -> Response:
    """End this session on the server too."""
    accounts.sign_out(request.cookies.get(SESSION_COOKIE))
    response = see_other("/login")
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    return response


def _resumed(parts: TicketParts, user: User, draft: DraftNote) -> Response | None:
    """The ticket with the note in its form, if this account wrote it and may see the ticket."""
    if draft.draft_by != user.id or not draft.fields:
        return None
    parts.request.state.user = user
    try:
        return parts.of(user).ticket_page(
            draft.draft_ticket,
            typed={"body": draft.draft_body, "kind": draft.draft_kind},
            notice="Your session had ended. The note below is not sent yet.",
        )
    except NotFound:
        return None


def _login_form(
    request: Request,
    *,
    target: str,
    email: str = "",
    error: AppError | None = None,
    draft: DraftNote | None = None,
) -> Response:
    return _form(
        request,
        "login.html",
        error,
        next_path=local_path(target),
        draft=draft.fields if draft else {},
        notice="",
        email=email,
        demo_accounts=request.app.state.demo_accounts,
    )


def _form(request: Request, name: str, error: AppError | None, /, **context: Any) -> Response:
    """A page with a form; with the error's status and sentences when there was one."""
    response = page(
        request,
        name,
        status_code=error.status if error else 200,
        message=error.message if error else "",
        errors=error.fields if isinstance(error, Invalid) else {},
        **context,
    )
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


# -- reset links -----------------------------------------------------------------------------


@pages.get("/reset/{token}")
def reset(request: Request, accounts: Accounts, token: str) -> Response:
    """The form behind a reset link."""
    return _form(request, "account/reset.html", None, owner=accounts.user_of_reset(token))


@pages.post("/reset/{token}")
def reset_password(
    request: Request, accounts: HashingAccounts, token: str, password: Text = ""
) -> Response:
    """Set the password the link is for; then its owner signs in with it."""
    try:
        accounts.reset_password(token, password)
    except Invalid as exc:
        owner = accounts.user_of_reset(token)
        return _form(request, "account/reset.html", exc, owner=owner)
    return see_other("/login")


# -- one's own account -----------------------------------------------------------------------


@pages.get("/account")
def account(request: Request, user: CurrentUser, accounts: Accounts) -> Response:
    """Password and API tokens."""
    return _account_page(request, user, accounts)


@pages.post("/account/password")
def change_password(
    request: Request,
    user: CurrentUser,
    accounts: HashingAccounts,
    current: Text = "",
    new: Text = "",
) -> Response:
    """Set a new password; every other session ends."""
    cookie = request.cookies.get(SESSION_COOKIE)
    try:
        accounts.change_password(user, current=current, new=new, cookie=cookie)
    except (Invalid, TooManyAttempts) as exc:
        return _account_page(request, user, accounts, error=exc)
    return _account_page(request, user, accounts, password_changed=True)


@pages.post("/account/tokens", dependencies=agents)
def create_token(
    request: Request, user: CurrentUser, accounts: Accounts, name: Text = ""
) -> Response:
    """Make an API token and show its secret, this once."""
    try:
        _, secret = accounts.create_token(user, name)
    except Invalid as exc:
        return _tokens(request, user, accounts, error=exc, name=name)
    return _tokens(request, user, accounts, secret=secret)


@pages.post("/account/tokens/{token_id}/revoke", dependencies=agents)
def revoke_token(request: Request, user: CurrentUser, accounts: Accounts, token_id: Id) -> Response:
    """End one of one's own tokens."""
    accounts.revoke_token(user, token_id)
    if is_partial(request):
        return _tokens(request, user, accounts)
    return see_other("/account")


def _account_page(
    request: Request,
    user: User,
    accounts: AccountService,
    *,
    error: AppError | None = None,
    **context: Any,
) -> Response:
    frame = {"password_changed": False, "secret": "", "name": "", "tokens": accounts.tokens(user)}
    return _form(request, "account/index.html", error, **frame | context)


def _tokens(
    request: Request,
    user: User,
    accounts: AccountService,
    *,
    error: Invalid | None = None,
    secret: str = "",
    name: str = "",
) -> Response:
    if not is_partial(request):
        return _account_page(request, user, accounts, error=error, secret=secret, name=name)
    return fragment(
        request,
        "account/tokens_card.html",
        status_code=error.status if error else 200,
        tokens=accounts.tokens(user),
        errors=error.fields if error else {},
        secret=secret,
        name=name,
    )
