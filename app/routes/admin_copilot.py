"""Admin page: Copilot settings and models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from pydantic import BaseModel, ConfigDict

from app.deps import Copilot, CopilotRules, CurrentUser, Models, Training, require
from app.errors import Conflict, Invalid
from app.models.accounts import Role
from app.models.form_basis import Basis
from app.models.triage import Field, Mode
from app.schemas.tickets import HIGHEST_ID
from app.web import announce, fragment, is_partial, page, see_other

pages = APIRouter(
    prefix="/admin/copilot", dependencies=[Depends(require(Role.ADMIN))], include_in_schema=False
)
Id = Annotated[int, Path(ge=0, le=HIGHEST_ID)]


@dataclass(frozen=True)
class CopilotDesk:
    """The Copilot settings page; an invalid matrix is shown again."""

    request: Request
    rules: CopilotRules
    models: Models
    copilot: Copilot

    def page(
        self, *, problem: Invalid | Conflict | None = None, typed: Mapping[str, str] | None = None
    ) -> Response:
        now, changes = self.rules.view()
        return page(
            self.request,
            "admin/copilot.html",
            status_code=problem.status if problem else 200,
            rules=now,
            cells={**now.cells, **(typed or {})},
            changes=changes,
            models=self.models.view(),
            resting=self.copilot.rests_on(),
            seen=Basis.of(now.cells),
            problem=problem,
        )

    def done(self, said: str, *, anchor: str = "") -> Response:
        """The response to a successful change: the page for htmx, else a redirect."""
        if is_partial(self.request):
            return announce(self.page(), said)
        return see_other(f"/admin/copilot{anchor}")

    def model_card(self) -> Response:
        return fragment(
            self.request,
            "copilot/model_card.html",
            models=self.models.view(),
            resting=self.copilot.rests_on(),
        )


Desk = Annotated[CopilotDesk, Depends()]


class MatrixForm(BaseModel):
    """The nine cells of the priority matrix, named "impact-urgency"."""

    model_config = ConfigDict(extra="allow")

    seen: str = ""


@pages.get("")
def index(desk: Desk) -> Response:
    """Show model, modes, matrix and change log."""
    return desk.page()


@pages.post("/modes/{field}")
def switch_mode(
    field: Field, mode: Annotated[Mode, Form()], desk: Desk, user: CurrentUser
) -> Response:
    """Set the prediction mode of a field."""
    desk.rules.set_mode(field, mode, by=user)
    return desk.done("Prediction mode saved.")


@pages.post("/matrix")
def save_matrix(desk: Desk, user: CurrentUser, form: Annotated[MatrixForm, Form()]) -> Response:
    """Save the priority matrix."""
    cells = {name: str(value) for name, value in (form.model_extra or {}).items()}
    basis = Basis.parse(form.seen)
    try:
        desk.rules.set_matrix(cells, by=user, basis=basis)
    except (Invalid, Conflict) as exc:
        return desk.page(problem=exc, typed=basis.own(cells))
    return desk.done("Priority matrix saved.")


@pages.get("/model")
def model_card(desk: Desk) -> Response:
    """The model card, polled during a training."""
    if not is_partial(desk.request):
        return see_other("/admin/copilot#model")
    return desk.model_card()


@pages.post("/train")
def train(training: Training, desk: Desk, user: CurrentUser) -> Response:
    """Queue a training for the worker."""
    training.ask(by=user)
    return desk.done("Training is queued.", anchor="#model")


@pages.post("/models/{model_id}/use")
def use(model_id: Id, desk: Desk, user: CurrentUser) -> Response:
    """Use another model; 0 is the starter model."""
    desk.models.choose(model_id, by=user)
    return desk.done("Model changed.", anchor="#model")
