"""The desk's own models: asked for, made, kept, thrown away."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, RowMapping, delete, select, update
from sqlalchemy.exc import IntegrityError

from app.db.tables import trained_models
from app.models.triage import ModelState, TrainedModel

KEPT = 5
NAMES = tuple(TrainedModel.__dataclass_fields__)
# The bytes are read only by whoever needs them.
COLUMNS = tuple(trained_models.c[name] for name in NAMES)


class Result(TypedDict, total=False):
    """What a training left."""

    content: bytes
    signature: str
    figures: Mapping[str, Any]
    own: int
    version: str
    data_hash: str
    finished_at: datetime
    error: str | None


def _model(row: RowMapping) -> TrainedModel:
    values: dict[str, Any] = {name: row[name] for name in NAMES}
    values["state"] = ModelState(row["state"])
    values["figures"] = row["figures"] or {}
    return TrainedModel(**values)


def ask(conn: Connection, *, by: str | None, now: datetime) -> bool:
    """Ask for a training; False while another is asked for or runs."""
    try:
        with conn.begin_nested():
            conn.execute(
                trained_models.insert().values(
                    state=ModelState.QUEUED, slot=1, asked_by=by, asked_at=now
                )
            )
    except IntegrityError:
        return False
    return True


def claim(conn: Connection, *, lease_until: datetime) -> TrainedModel | None:
    """Take what was asked for; None when nothing was, or another process was faster."""
    row = conn.execute(
        update(trained_models)
        .where(trained_models.c.state == ModelState.QUEUED)
        .values(state=ModelState.RUNNING, lease_until=lease_until)
        .returning(*COLUMNS)
    )
    found = row.mappings().first()
    return _model(found) if found else None


def release_stale(conn: Connection, *, lease_before: datetime, now: datetime, error: str) -> None:
    """A training whose process is gone has failed."""
    conn.execute(
        update(trained_models)
        .where(
            trained_models.c.state == ModelState.RUNNING,
            trained_models.c.lease_until < lease_before,
        )
        .values(state=ModelState.FAILED, slot=None, finished_at=now, error=error)
    )


def settle(conn: Connection, model_id: int, state: ModelState, **values: Unpack[Result]) -> None:
    """The training ended, or was put back to be done later (QUEUED keeps its slot)."""
    slot = 1 if state is ModelState.QUEUED else None
    conn.execute(
        update(trained_models)
        .where(trained_models.c.id == model_id)
        .values(state=state, slot=slot, **values)
    )


def get_content(conn: Connection, model_id: int) -> tuple[bytes, str] | None:
    """The bytes of a model and their signature."""
    query = select(trained_models.c.content, trained_models.c.signature).where(
        trained_models.c.id == model_id, trained_models.c.state == ModelState.DONE
    )
    row = conn.execute(query).first()
    return (bytes(row[0]), row[1]) if row and row[0] else None


def find(conn: Connection, model_id: int) -> TrainedModel | None:
    row = conn.execute(select(*COLUMNS).where(trained_models.c.id == model_id)).mappings().first()
    return _model(row) if row else None


def latest(conn: Connection, *, limit: int) -> tuple[TrainedModel, ...]:
    """The last trainings, newest first."""
    query = select(*COLUMNS).order_by(trained_models.c.id.desc()).limit(limit)
    return tuple(_model(row) for row in conn.execute(query).mappings())


def last_done(conn: Connection) -> TrainedModel | None:
    """The newest training that ended well."""
    query = select(*COLUMNS).where(trained_models.c.state == ModelState.DONE)
    row = conn.execute(query.order_by(trained_models.c.id.desc()).limit(1)).mappings().first()
    return _model(row) if row else None


def prune(conn: Connection, *, active: int) -> None:
    """Keep the last few models, the one in use, and the last few attempts of any end."""
    newest = select(trained_models.c.id).order_by(trained_models.c.id.desc()).limit(KEPT)
    good = newest.where(trained_models.c.state == ModelState.DONE)
    conn.execute(
        delete(trained_models).where(
            trained_models.c.id.not_in(newest.scalar_subquery()),
            trained_models.c.id.not_in(good.scalar_subquery()),
            trained_models.c.id != active,
            trained_models.c.slot.is_(None),
        )
    )
