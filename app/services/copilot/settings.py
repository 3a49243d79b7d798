"""How the Copilot is set: a mode per field, and the matrix of impact and urgency."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from app.copilot.types import PRIORITY_OF
from app.db import copilot_settings, predictions
from app.db.engine import reading, writing
from app.errors import Invalid
from app.models.accounts import User
from app.models.form_basis import Basis
from app.models.tickets import Priority
from app.models.triage import Field, Matrix, Mode, SettingChange
from app.services.tickets.edit_conflict import edit_conflict

HISTORY_SHOWN = 20
MATRIX = "matrix"


@dataclass(frozen=True, slots=True)
class Rules:
    """How it is set now."""

    modes: Mapping[Field, Mode]
    matrix: Matrix

    @property
    def cells(self) -> dict[str, str]:
        """The matrix as a form and a JSON column have it: "impact-urgency" to priority."""
        return {_cell(pair): priority.value for pair, priority in self.matrix.items()}


class CopilotSettings:
    """What admins decide about the Copilot; every switch is kept with who made it."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def rules(self, conn: Connection) -> Rules:
        """As set, else autofill and ServiceNow's own matrix."""
        latest = copilot_settings.latest(conn)
        modes = {field: Mode(_value(latest, _mode_of(field), Mode.AUTOFILL)) for field in Field}
        stored = _value(latest, MATRIX, {})
        matrix = {
            pair: Priority(stored.get(_cell(pair), PRIORITY_OF[pair])) for pair in PRIORITY_OF
        }
        return Rules(modes, matrix)

    def view(self) -> tuple[Rules, tuple[SettingChange, ...]]:
        """How it is set, and the last switches."""
        with reading(self._engine) as conn:
            return self.rules(conn), copilot_settings.history(conn, limit=HISTORY_SHOWN)

    def set_mode(self, field: Field, mode: Mode, *, by: User) -> None:
        """Switch a field. What was filled in goes when it may not show, and comes back later."""
        with writing(self._engine) as conn:
            before = self.rules(conn).modes[field]
            if before is mode:
                return
            copilot_settings.add(conn, _mode_of(field), mode, by=by.email, now=self._now())
            if mode is Mode.AUTOFILL:
                predictions.show(conn, field)
            elif before is Mode.AUTOFILL:
                predictions.hide(conn, field)

    def set_matrix(self, cells: Mapping[str, str], *, by: User, basis: Basis) -> None:
        """Save the cells that differ from `basis`, "impact-urgency" to a priority.

        Raises Invalid unless all nine are there, and Conflict where another admin changed the
        same cell since the form was filled.
        """
        wanted = {_cell(pair): cells.get(_cell(pair), "") for pair in PRIORITY_OF}
        wrong = {
            name: f"Choose one of: {', '.join(Priority)}."
            for name, value in wanted.items()
            if value not in tuple(Priority)
        }
        if wrong:
            raise Invalid("The matrix was not saved. Check these fields:", fields=wrong)
        with writing(self._engine) as conn:
            now, own = self.rules(conn).cells, basis.own(wanted)
            if contested := basis.contested(own, now):
                last = copilot_settings.latest(conn).get(MATRIX)
                told = {name: now[name] for name in contested}
                raise edit_conflict("matrix", last.changed_by if last else None, told)
            if now | own != now:
                copilot_settings.add(conn, MATRIX, now | own, by=by.email, now=self._now())


def _mode_of(field: Field) -> str:
    return f"mode.{field}"


def _cell(pair: tuple[int, int]) -> str:
    return f"{pair[0]}-{pair[1]}"


def _value(latest: Mapping[str, SettingChange], name: str, default: Any) -> Any:
    found = latest.get(name)
    return found.value if found else default
