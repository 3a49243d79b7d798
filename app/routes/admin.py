"""Admin pages: all accounts and API tokens."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from app.deps import Accounts, CurrentUser, require
from app.errors import Conflict, Invalid
from app.models.accounts import Role
from app.services.accounts.service import AccountService
from app.web import fragment, is_partial, page, see_other

pages = APIRouter(
    prefix="/admin", dependencies=[Depends(require(Role.ADMIN))], include_in_schema=False
)

Id = Annotated[int, Path(ge=1, le=2**31 - 1)]


@pages.get("")
def index() -> Response:
    """Redirect to the first admin page."""
    return see_other("/admin/users")


# -- accounts --------------------------------------------------------------------------------


@pages.get("/users")
def users(request: Request, accounts: Accounts) -> Response:
    """Show all accounts and the form for a new one."""
    return _users_page(request, accounts)


@pages.post("/users")
def create_user(
    request: Request,
    accounts: Accounts,
    email: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    role: Annotated[Role, Form()] = Role.REQUESTER,
) -> Response:
    """Create an account and show once the link with which its owner sets a password."""
    base = _link_base(request)
    try:
        user, token = accounts.invite_user(email, role, name=name)
    except Invalid as exc:
        error = Invalid("The account was not created.", fields=exc.fields)
        typed = {"email": email, "name": name, "role": role}
        return _users_page(request, accounts, error=error, typed=typed)
    link = f"{base}/reset/{token}"
    return _users_page(request, accounts, link=link, link_owner=user.email)


@pages.post("/users/{user_id}/name")
def rename(
    request: Request, accounts: Accounts, user_id: Id, name: Annotated[str, Form()] = ""
) -> Response:
    """Give somebody another name."""
    try:
        accounts.profiles.rename(user_id, name)
    except Invalid as exc:
        field = f"name-{user_id}"
        error = Invalid("The name was not changed.", fields={field: exc.message})
        return _users_page(request, accounts, error=error, typed={field: name})
    return _users_card(request, accounts)


@pages.post("/users/{user_id}/role")
def change_role(
    request: Request, accounts: Accounts, user_id: Id, role: Annotated[Role, Form()]
) -> Response:
    """Change the role of an account."""
    accounts.change_role(user_id, role)
    return _users_card(request, accounts)


@pages.post("/users/{user_id}/deactivate")
def deactivate(request: Request, accounts: Accounts, user_id: Id) -> Response:
    """Deactivate an account."""
    accounts.deactivate(user_id)
    return _users_card(request, accounts)


@pages.post("/users/{user_id}/activate")
def activate(request: Request, accounts: Accounts, user_id: Id) -> Response:
    """Activate an account again."""
    accounts.activate(user_id)
    return _users_card(request, accounts)


@pages.post("/users/{user_id}/reset")
def reset_link(request: Request, accounts: Accounts, user_id: Id) -> Response:
    """Create a reset link and show it once."""
    base = _link_base(request)
    user, token = accounts.user(user_id), accounts.reset_token(user_id)
    link = f"{base}/reset/{token}"
    if is_partial(request):
        return _users_card(request, accounts, link=link, link_owner=user.email)
    return _users_page(request, accounts, link=link, link_owner=user.email)


def _link_base(request: Request) -> str:
    """The base of links in this app: PUBLIC_URL, or the request's host on loopback only.

    Raises Conflict.
    """
    base: str = request.app.state.settings.link_base(str(request.base_url).rstrip("/"))
    if not base:
        raise Conflict(
            "Cannot create a password link, because PUBLIC_URL is not set.",
            hint="Set PUBLIC_URL, such as https://desk.example.com, and restart the app.",
        )
    return base


def _users_page(
    request: Request,
    accounts: AccountService,
    *,
    error: Invalid | None = None,
    typed: Mapping[str, str] | None = None,
    link: str = "",
    link_owner: str = "",
) -> Response:
    return page(
        request,
        "admin/users.html",
        status_code=error.status if error else 200,
        message=error.message if error else "",
        errors=error.fields if error else {},
        typed={"email": "", "name": "", "role": Role.REQUESTER} | dict(typed or {}),
        users=accounts.users(),
        link=link,
        link_owner=link_owner,
    )


def _users_card(
    request: Request, accounts: AccountService, *, link: str = "", link_owner: str = ""
) -> Response:
    if not is_partial(request):
        return see_other("/admin/users")
    return fragment(
        request,
        "admin/users_card.html",
        users=accounts.users(),
        link=link,
        link_owner=link_owner,
        errors={},
        typed={},
    )


# -- API tokens ------------------------------------------------------------------------------


@pages.get("/tokens")
def tokens(request: Request, accounts: Accounts) -> Response:
    """Show the API tokens of all accounts."""
    return page(request, "admin/tokens.html", tokens=accounts.all_tokens())


@pages.post("/tokens/{token_id}/revoke")
def revoke_token(request: Request, user: CurrentUser, accounts: Accounts, token_id: Id) -> Response:
    """Revoke any token."""
    accounts.revoke_token(user, token_id)
    if not is_partial(request):
        return see_other("/admin/tokens")
    return fragment(request, "admin/tokens_card.html", tokens=accounts.all_tokens())
