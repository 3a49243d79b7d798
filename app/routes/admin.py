"""Accounts and tokens, for admins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import Accounts, CurrentUser, require
from app.errors import AppError, Conflict, Invalid
from app.models import Role
from app.services.accounts import AccountService
from app.web import page, see_other

pages = APIRouter(
    prefix="/admin", dependencies=[Depends(require(Role.ADMIN))], include_in_schema=False
)
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
Short = Annotated[str, Form(max_length=500)]


@pages.get("")
async def index() -> Response:
    return see_other("/admin/users")


@pages.get("/users")
def users(request: Request, accounts: Accounts) -> Response:
    return _users_page(request, accounts)


@pages.post("/users")
def create_user(
    request: Request,
    accounts: Accounts,
    email: Short = "",
    role: Annotated[Role, Form()] = Role.AGENT,
) -> Response:
    """A new account; the link that sets its password is shown this once."""
    try:
        user, _ = accounts.create_user(email, role)
    except (Invalid, Conflict) as exc:
        return _users_page(request, accounts, problem=exc, email=email)
    return _users_page(request, accounts, link_for=user.email, secret=accounts.reset_token(user.id))


@pages.post("/users/{user_id}/reset")
def reset_link(request: Request, user_id: Id, accounts: Accounts) -> Response:
    secret = accounts.reset_token(user_id)
    email = next(user.email for user in accounts.users() if user.id == user_id)
    return _users_page(request, accounts, link_for=email, secret=secret)


@pages.post("/users/{user_id}/active")
def set_active(
    user_id: Id, accounts: Accounts, active: Annotated[bool, Form()] = False
) -> Response:
    accounts.set_active(user_id, active=active)
    return see_other("/admin/users")


@pages.post("/users/{user_id}/role")
def set_role(user_id: Id, accounts: Accounts, role: Annotated[Role, Form()]) -> Response:
    accounts.set_role(user_id, role)
    return see_other("/admin/users")


@pages.get("/tokens")
def tokens(request: Request, accounts: Accounts) -> Response:
    return page(request, "admin/tokens.html", tokens=accounts.all_tokens())


@pages.post("/tokens/{token_id}/revoke")
def revoke_token(token_id: Id, user: CurrentUser, accounts: Accounts) -> Response:
    accounts.revoke_token(token_id, by=user, anybodys=True)
    return see_other("/admin/tokens")


def _users_page(
    request: Request,
    accounts: AccountService,
    *,
    problem: AppError | None = None,
    email: str = "",
    link_for: str = "",
    secret: str = "",
) -> Response:
    origin = request.app.state.settings.public_url or str(request.base_url).rstrip("/")
    return page(
        request,
        "admin/users.html",
        status_code=problem.status if problem else 200,
        users=accounts.users(),
        problem=problem,
        email=email,
        link_for=link_for,
        link=f"{origin}/reset/{secret}" if secret else "",
    )
