"""How the Copilot is set, and who set it: written only, so that its history is kept."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from app.db.tables import copilot_settings
from app.models.triage import SettingChange


def _change(row: RowMapping) -> SettingChange:
    return SettingChange(
        name=row["name"],
        value=row["value"],
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
    )


def latest(conn: Connection) -> dict[str, SettingChange]:
    """The newest change of each name that was ever set."""
    newest = select(func.max(copilot_settings.c.id)).group_by(copilot_settings.c.name)
    query = select(copilot_settings).where(copilot_settings.c.id.in_(newest))
    return {row["name"]: _change(row) for row in conn.execute(query).mappings()}


def history(conn: Connection, *, limit: int) -> tuple[SettingChange, ...]:
    """The last changes, newest first."""
    query = select(copilot_settings).order_by(copilot_settings.c.id.desc()).limit(limit)
    return tuple(_change(row) for row in conn.execute(query).mappings())


def add(conn: Connection, name: str, value: Any, *, by: str, now: datetime) -> None:
    """Set it from now on."""
    conn.execute(
        copilot_settings.insert().values(name=name, value=value, changed_by=by, changed_at=now)
    )
