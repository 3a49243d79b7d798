"""For admins: how the Copilot is set."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel, ConfigDict

from app.deps import CopilotRules, CurrentUser, require
from app.errors import Invalid
from app.models import Field, Mode, Role
from app.services.governance import Governance
from app.web import page, see_other

pages = APIRouter(
    prefix="/admin/copilot", dependencies=[Depends(require(Role.ADMIN))], include_in_schema=False
)


class MatrixForm(BaseModel):
    """The nine cells, named "impact-urgency"."""

    model_config = ConfigDict(extra="allow")


@pages.get("")
def index(request: Request, rules: CopilotRules) -> Response:
    """Modes, matrix and who switched them."""
    return _page(request, rules)


@pages.post("/modes/{field}")
def switch_mode(
    field: Field, mode: Annotated[Mode, Form()], rules: CopilotRules, user: CurrentUser
) -> Response:
    """Autofill, suggest, shadow or off, from now on."""
    rules.set_mode(field, mode, by=user)
    return see_other("/admin/copilot")


@pages.post("/matrix")
def save_matrix(
    request: Request,
    rules: CopilotRules,
    user: CurrentUser,
    form: Annotated[MatrixForm, Form()],
) -> Response:
    """Priority for each impact and urgency, from now on."""
    cells = {name: str(value) for name, value in (form.model_extra or {}).items()}
    try:
        rules.set_matrix(cells, by=user)
    except Invalid as exc:
        return _page(request, rules, problem=exc, typed=cells)
    return see_other("/admin/copilot")


def _page(
    request: Request,
    rules: Governance,
    *,
    problem: Invalid | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    now, changes = rules.view()
    return page(
        request,
        "admin/copilot.html",
        status_code=problem.status if problem else 200,
        rules=now,
        cells={**now.cells, **(typed or {})},
        changes=changes,
        problem=problem,
    )
