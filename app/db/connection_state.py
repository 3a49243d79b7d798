"""What decides about the pushes of a connection, read in one statement."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from app.db.incidents import connection
from app.models.servicenow import KeptKeys, Pause, Rest, Restore


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The pause, the open circuit breaker and the restore, each None if there is none.

    `pulling`: changes made in ServiceNow are copied to linked tickets.
    """

    pause: Pause | None = None
    rest: Rest | None = None
    restore: Restore | None = None
    pulling: bool = True
    kept_keys: KeptKeys = field(default_factory=KeptKeys)


def read(conn: Connection, host: str, *, now: datetime) -> ConnectionState:
    """The state of the connection now."""
    row = connection(conn, host)
    if row is None:
        return ConnectionState()
    pause = rest = restore = None
    if row["paused_at"] is not None:
        pause = Pause(row["paused_at"], row["paused_by"], row["paused_reason"])
    if row["rests_until"] is not None and row["rests_until"] > now:
        rest = Rest(
            row["failing_since"], row["rests_until"], row["failing_reason"], row["failures"]
        )
    if row["restored_at"] is not None:
        restore = Restore(
            row["restored_at"],
            row["restored_number"],
            row["creates_released_at"],
            row["creates_released_by"],
        )
    kept = KeptKeys(row["keeps_correlation_id"], row["keeps_sys_id"])
    return ConnectionState(pause, rest, restore, row["pulling"] is not False, kept)
