"""What became of predictions, counted by the database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, distinct, func, or_, select

from app.db.tables import predictions
from app.models.triage import Field, Verdict

_said = predictions.c
# The tenth of confidence, 0 to 9; a ladder, as databases round casts differently.
_tenth = case(*((_said.confidence >= low / 10, low) for low in range(9, 0, -1)), else_=0)


@dataclass(frozen=True, slots=True)
class PredictionOutcome:
    """So many predictions that share all of this. `claimed` is the sum of their confidences.

    `proved`: a person said what is right.
    """

    model: str
    value: str | None
    decided: str | None
    verdict: Verdict | None
    sure: bool
    proved: bool
    tenth: int
    number: int
    claimed: float


def grouped(conn: Connection, field: Field, *, since: datetime) -> tuple[PredictionOutcome, ...]:
    """Predictions made since; of a ticket triaged again, the last and those decided on."""
    proved = case((_said.proof.is_not(None), 1), else_=0)
    keys = (_said.model, _said.value, _said.settled_to, _said.verdict, _said.sure, proved, _tenth)
    query = (
        select(*keys, func.count(), func.sum(_said.confidence))
        .where(_said.field == field, _said.created_at >= since)
        .where(or_(_said.superseded_at.is_(None), _said.settled_to.is_not(None)))
        .group_by(*keys)
    )
    return tuple(
        PredictionOutcome(
            model=row[0],
            value=row[1],
            decided=row[2],
            verdict=Verdict(row[3]) if row[3] else None,
            sure=bool(row[4]),
            proved=bool(row[5]),
            tenth=row[6],
            number=row[7],
            claimed=float(row[8]),
        )
        for row in conn.execute(query)
    )


def triaged(conn: Connection, *, since: datetime) -> int:
    """Tickets of which something was predicted since."""
    query = select(func.count(distinct(_said.ticket_id))).where(_said.created_at >= since)
    return conn.execute(query).scalar_one()


def left_untouched(conn: Connection, *, since: datetime) -> int:
    """Tickets that were resolved with all that was filled in since then as it was."""
    replaced = select(_said.ticket_id).where(
        _said.verdict == Verdict.REPLACED, _said.created_at >= since
    )
    query = select(func.count(distinct(_said.ticket_id))).where(
        _said.verdict == Verdict.UNTOUCHED,
        _said.created_at >= since,
        _said.ticket_id.not_in(replaced),
    )
    return conn.execute(query).scalar_one()
