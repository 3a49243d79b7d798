"""Log-in, log-out, one's own password and tokens, reset links."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import Accounts, CurrentUser, require
from app.errors import Invalid, TooManyAttempts
from app.models import Role, User
from app.security import SESSION_COOKIE
from app.services.accounts import SESSION_LIFE, AccountService
from app.web import page, see_other

pages = APIRouter(include_in_schema=False)
Secret = Annotated[str, Form(max_length=2_000)]
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]


async def _hashing() -> AsyncIterator[None]:
    """A password hash takes 64 MiB: two at a time."""
    yield


Hashing = Depends(_hashing, scope="function", max_concurrency=2)


@pages.get("/login")
def login_form(request: Request, next: str = "") -> Response:
    return _login_page(request, next)


@pages.post("/login", dependencies=[Hashing])
def login(
    request: Request,
    accounts: Accounts,
    email: Secret = "",
    password: Secret = "",
    next: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Sign in; a wrong pair shows the form again with what was typed, but for the password."""
    address = request.client.host if request.client else "unknown"
    try:
        cookie = accounts.sign_in(email, password, address=address)
    except (Invalid, TooManyAttempts) as exc:
        response = _login_page(
            request, next, email=email, message=exc.message, status_code=exc.status
        )
        if isinstance(exc, TooManyAttempts):
            response.headers["Retry-After"] = str(exc.retry_after)
        return response
    answer = see_other(_local(next))
    answer.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.app.state.settings.public_url.startswith("https://"),
    )
    return answer


@pages.post("/logout")
def logout(request: Request, accounts: Accounts) -> Response:
    accounts.sign_out(request.cookies.get(SESSION_COOKIE))
    answer = see_other("/login")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@pages.get("/account")
def account(request: Request, user: CurrentUser, accounts: Accounts) -> Response:
    return _account_page(request, accounts, user)


@pages.post("/account/password", dependencies=[Hashing])
def change_password(
    request: Request,
    user: CurrentUser,
    accounts: Accounts,
    old: Secret = "",
    new: Secret = "",
) -> Response:
    try:
        accounts.change_password(user, old, new, cookie=request.cookies.get(SESSION_COOKIE))
    except Invalid as exc:
        return _account_page(request, accounts, user, problem=exc)
    return _account_page(request, accounts, user, message="Your password was changed.")


@pages.post("/account/tokens", dependencies=[Depends(require(Role.AGENT))])
def create_token(
    request: Request, user: CurrentUser, accounts: Accounts, name: Secret = ""
) -> Response:
    """The page that shows the new token: the only time it is shown."""
    try:
        _, secret = accounts.create_token(user, name)
    except Invalid as exc:
        return _account_page(request, accounts, user, problem=exc)
    return _account_page(request, accounts, user, secret=secret)


@pages.post("/account/tokens/{token_id}/revoke", dependencies=[Depends(require(Role.AGENT))])
def revoke_token(token_id: Id, user: CurrentUser, accounts: Accounts) -> Response:
    accounts.revoke_token(token_id, by=user)
    return see_other("/account")


@pages.get("/reset/{secret}")
def reset_form(request: Request, secret: str, accounts: Accounts) -> Response:
    return page(request, "account/reset.html", account=accounts.user_of_reset(secret), problem=None)


@pages.post("/reset/{secret}", dependencies=[Hashing])
def reset(request: Request, secret: str, accounts: Accounts, new: Secret = "") -> Response:
    owner = accounts.user_of_reset(secret)
    try:
        accounts.reset_password(secret, new)
    except Invalid as exc:
        return page(request, "account/reset.html", status_code=422, account=owner, problem=exc)
    return see_other("/login")


def _local(target: str) -> str:
    """A path of our own: nobody is sent to another site after signing in."""
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if fine else "/"


def _login_page(
    request: Request, target: str, *, email: str = "", message: str = "", status_code: int = 200
) -> Response:
    return page(
        request,
        "account/login.html",
        status_code=status_code,
        next=_local(target),
        email=email,
        message=message,
        demo_accounts=request.app.state.demo_accounts,
    )


def _account_page(
    request: Request,
    accounts: AccountService,
    user: User,
    *,
    problem: Invalid | None = None,
    message: str = "",
    secret: str = "",
) -> Response:
    return page(
        request,
        "account/index.html",
        status_code=422 if problem else 200,
        tokens=accounts.tokens(user),
        problem=problem,
        message=message,
        secret=secret,
    )
