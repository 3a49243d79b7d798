"""Log-in, log-out, reset links, the user's own account and API tokens.

An invalid form is shown again with the values entered.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

from anyio import Semaphore, fail_after
from fastapi import APIRouter, Depends, Form, Path, Request, Response
from pydantic import Field

from app.deps import (
    Accounts,
    CurrentUser,
    SessionCookie,
    is_secure,
    require,
    session_cookie,
    session_cookie_name,
)
from app.errors import AppError, Invalid, NotFound, TooManyAttempts
from app.models.accounts import Role, Scope, User
from app.models.time_zones import zone_names
from app.routes.forms import DraftNote
from app.routes.ticket_page import TicketParts
from app.schemas.tickets import HIGHEST_ID
from app.security import DEVICE_COOKIE, DEVICE_LASTS, local_path
from app.services.accounts.service import AccountService
from app.services.accounts.sessions import SESSION_LASTS
from app.web import fragment, is_partial, page, see_other

HASH_WAIT_SECONDS = 2.0
RETRY_SECONDS = 5
pages = APIRouter(include_in_schema=False)
agents = [Depends(require(Role.AGENT))]

Text = Annotated[str, Form()]
Id = Annotated[int, Path(ge=1, le=HIGHEST_ID)]
TokenId = Annotated[int, Field(ge=1, le=HIGHEST_ID)]
# The key of a stored session.
Key = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
LONGEST_TOKEN_DAYS = 3650


async def hashing_accounts(request: Request, accounts: Accounts) -> AsyncIterator[AccountService]:
    """For routes that hash a password: two at once, because hashing needs much memory.

    Others wait without a thread. Raises TooManyAttempts after 2 s.
    """
    slots: Semaphore = request.app.state.password_checks
    try:
        with fail_after(HASH_WAIT_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise TooManyAttempts(
            "Too many people are logging in at the moment. Try again in a few seconds.",
            retry_after=RETRY_SECONDS,
        ) from None
    try:
        yield accounts
    finally:
        slots.release()


HashingAccounts = Annotated[AccountService, Depends(hashing_accounts, scope="function")]


# -- log-in and log-out ----------------------------------------------------------------------


@pages.get("/login")
def login(
    request: Request,
    accounts: Accounts,
    cookie: SessionCookie,
    next: str = "",  # noqa: A002
) -> Response:
    """Show the log-in form; redirect users who are logged in."""
    if accounts.sessions.user(cookie):
        return see_other(local_path(next))
    return _login_form(request, target=next)


@pages.post("/login")
def log_in(
    request: Request,
    accounts: HashingAccounts,
    cookie: SessionCookie,
    parts: Annotated[TicketParts, Depends()],
    draft: Annotated[DraftNote, Depends()],
    email: Text = "",
    password: Text = "",
    target: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Start a session and go to `next`, or to the unsent note of an ended session."""
    try:
        cookies = accounts.sign_in(
            email,
            password,
            address=request.client.host if request.client else "",
            shared=getattr(request.state, "shared_address", False),
            device=request.cookies.get(DEVICE_COOKIE, ""),
            user_agent=request.headers.get("User-Agent", ""),
            session=cookie,
        )
    except (Invalid, TooManyAttempts) as exc:
        return _login_form(request, target=target, email=email, error=exc, draft=draft)
    user = accounts.sessions.user(cookies.session)
    resumed = _resumed(parts, user, draft) if user else None
    response = resumed or see_other(local_path(target))
    name = session_cookie_name(request)
    _set_cookie(request, response, name, cookies.session, SESSION_LASTS)
    _set_cookie(request, response, DEVICE_COOKIE, cookies.device, DEVICE_LASTS, path="/login")
    return response


def _set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    lasts: timedelta,
    *,
    path: str = "/",
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lasts.total_seconds()),
        path=path,
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


@pages.post("/logout")
def log_out(request: Request, accounts: Accounts, cookie: SessionCookie) -> Response:
    """End this session."""
    accounts.sessions.end(cookie)
    response = see_other("/login")
    name = session_cookie_name(request)
    response.delete_cookie(name, httponly=True, samesite="lax", secure=is_secure(request))
    return response


def _resumed(parts: TicketParts, user: User, draft: DraftNote) -> Response | None:
    """The ticket page with the unsent note, if this account wrote it and can see the ticket."""
    if draft.draft_by != user.id or not draft.fields:
        return None
    parts.request.state.user = user
    try:
        return parts.of(user).ticket_page(
            draft.draft_ticket,
            typed={"body": draft.draft_body, "kind": draft.draft_kind},
            notice="Your session ended. The note below has not been sent yet.",
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
    """A page with a form, with the status and messages of an error."""
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
    """Show the form of a reset link."""
    return _form(request, "account/reset.html", None, owner=accounts.user_of_reset(token))


@pages.post("/reset/{token}")
def reset_password(
    request: Request, accounts: HashingAccounts, token: str, password: Text = ""
) -> Response:
    """Set the password and redirect to the log-in page."""
    try:
        accounts.reset_password(token, password)
    except Invalid as exc:
        owner = accounts.user_of_reset(token)
        return _form(request, "account/reset.html", exc, owner=owner)
    return see_other("/login")


# -- the user's account ----------------------------------------------------------------------


@pages.get("/account")
def account(request: Request, user: CurrentUser, accounts: Accounts) -> Response:
    """Show profile, password, sessions and API tokens."""
    return _account_page(request, user, accounts)


@pages.post("/account/profile")
def change_profile(
    request: Request,
    user: CurrentUser,
    accounts: Accounts,
    display_name: Text = "",
    time_zone: Text = "",
) -> Response:
    """Save the profile: the name, and the time zone or "" for the browser's."""
    try:
        changed = accounts.profiles.change(user, name=display_name, time_zone=time_zone)
    except Invalid as exc:
        typed = {"display_name": display_name}
        return _account_page(request, user, accounts, error=exc, typed=typed)
    request.state.user = changed
    return _account_page(request, changed, accounts, profile_saved=True)


@pages.post("/account/password")
def change_password(
    request: Request,
    user: CurrentUser,
    accounts: HashingAccounts,
    cookie: SessionCookie,
    current: Text = "",
    new: Text = "",
    end_token: Annotated[list[TokenId], Form()] = [],  # noqa: B006
) -> Response:
    """Set a new password, end all other sessions and revoke the selected API tokens."""
    try:
        accounts.change_password(
            user, current=current, new=new, cookie=cookie, end_tokens=end_token
        )
    except (Invalid, TooManyAttempts) as exc:
        return _account_page(request, user, accounts, error=exc)
    return _account_page(request, user, accounts, password_changed=True)


@pages.post("/account/tokens", dependencies=agents)
def create_token(
    request: Request,
    user: CurrentUser,
    accounts: Accounts,
    name: Text = "",
    scope: Annotated[Scope, Form()] = Scope.WRITE,
    days: Annotated[int, Form(ge=0, le=LONGEST_TOKEN_DAYS)] = 0,
) -> Response:
    """Create an API token and show its secret once; with 0 days it does not expire."""
    lasts = timedelta(days=days) if days else None
    try:
        _, secret = accounts.create_token(user, name, scope=scope, lasts=lasts)
    except Invalid as exc:
        return _tokens(request, user, accounts, error=exc, name=name)
    return _tokens(request, user, accounts, secret=secret)


@pages.post("/account/tokens/{token_id}/revoke", dependencies=agents)
def revoke_token(request: Request, user: CurrentUser, accounts: Accounts, token_id: Id) -> Response:
    """Revoke one of the user's tokens."""
    accounts.revoke_token(user, token_id)
    if is_partial(request):
        return _tokens(request, user, accounts)
    return see_other("/account")


@pages.post("/account/sessions/{key}/end")
def end_session(
    request: Request, user: CurrentUser, accounts: Accounts, cookie: SessionCookie, key: Key
) -> Response:
    """End another session of the user."""
    accounts.sessions.end_own(user, key)
    if not is_partial(request):
        return see_other("/account")
    sessions = accounts.sessions.list(user, cookie)
    return fragment(request, "account/sessions_card.html", sessions=sessions)


def _account_page(
    request: Request,
    user: User,
    accounts: AccountService,
    *,
    error: AppError | None = None,
    **context: Any,
) -> Response:
    frame = {
        "password_changed": False,
        "profile_saved": False,
        "typed": {"display_name": user.name},
        "zones": zone_names(),
        "secret": "",
        "name": "",
        "tokens": accounts.tokens(user),
        "sessions": accounts.sessions.list(user, session_cookie(request)),
    }
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
