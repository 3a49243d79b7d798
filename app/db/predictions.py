"""Predictions: what was said of a ticket, and what people made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, RowMapping, case, func, null, select, update

from app.db import bulk
from app.db.tables import predictions, tickets
from app.db.ticket_columns import Predicted
from app.models.tickets import Ticket
from app.models.triage import (
    Field,
    Mode,
    Neighbour,
    Prediction,
    StoredPrediction,
    TrackRecord,
    Verdict,
)

PLAIN = ("value", "sure", "confidence", "model", "runner_up", "impact", "urgency")
TAUGHT = ("taught_by", "taught_at")
# The columns of a new row.
NEW = (
    "ticket_id",
    "field",
    "mode",
    "shown",
    "words_for",
    "words_against",
    "neighbours",
    "verdict",
    "created_at",
    *PLAIN,
    *TAUGHT,
)
INSTANCE = "ServiceNow"
# The columns of a ticket that triage fills, and what of a prediction goes there.
COLUMNS = {
    Field.CATEGORY: {"predicted_category": "value", "category_confidence": "confidence"},
    Field.PRIORITY: {
        "predicted_priority": "value",
        "priority_confidence": "confidence",
        "predicted_impact": "impact",
        "predicted_urgency": "urgency",
    },
}


def columns_of(said: Prediction) -> Predicted:
    """What a prediction fills in: a value where it is sure, and its confidence."""
    return cast(
        Predicted,
        {
            name: getattr(said, of) if said.sure or of == "confidence" else None
            for name, of in COLUMNS[said.field].items()
        },
    )


def no_columns_of(field: Field) -> Predicted:
    """The same without a prediction."""
    return cast(Predicted, dict.fromkeys(COLUMNS[field]))


SETTLED = ("settled_by", "settled_at", "settled_from", "settled_to")


def _stored(row: RowMapping) -> StoredPrediction:
    said = Prediction(
        field=Field(row["field"]),
        words_for=tuple(row["words_for"]),
        words_against=tuple(row["words_against"]),
        neighbours=tuple(Neighbour(**one) for one in row["neighbours"]),
        **{name: row[name] for name in (*PLAIN, *TAUGHT)},
    )
    return StoredPrediction(
        said=said,
        mode=Mode(row["mode"]),
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        **{name: row[name] for name in ("id", "ticket_id", "created_at", "superseded_at")},
        **{name: row[name] for name in SETTLED},
    )


def add(conn: Connection, ticket_id: int, said: Prediction, *, mode: Mode, now: datetime) -> None:
    """Write down what was said; what was said before of this field becomes history."""
    add_all(conn, [(ticket_id, said)], modes={said.field: mode}, now=now)


def add_all(
    conn: Connection,
    found: Sequence[tuple[int, Prediction]],
    *,
    modes: Mapping[Field, Mode],
    now: datetime,
) -> None:
    """As `add`, of many tickets: their ids and what was said."""
    for field in Field:
        supersede(conn, [of for of, said in found if said.field is field], field, now=now)
    rows = [_row(ticket_id, said, modes[said.field], now) for ticket_id, said in found]
    bulk.insert(conn, predictions, NEW, bulk.prepared(conn.dialect, predictions, NEW, rows))


def _row(ticket_id: int, said: Prediction, mode: Mode, now: datetime) -> bulk.Row:
    """The values of NEW."""
    return (
        ticket_id,
        said.field.value,
        mode.value,
        said.sure and mode.shows,
        list(said.words_for),
        list(said.words_against),
        [asdict(one) for one in said.neighbours],
        None if said.sure else Verdict.NOT_SURE.value,
        now,
        *(getattr(said, name) for name in (*PLAIN, *TAUGHT)),
    )


def explain(conn: Connection, prediction_id: int, said: Prediction) -> None:
    """Add the reasons of what was said; what people made of it stays."""
    conn.execute(
        update(predictions)
        .where(predictions.c.id == prediction_id)
        .values(
            words_for=list(said.words_for),
            words_against=list(said.words_against),
            neighbours=[asdict(one) for one in said.neighbours],
        )
    )


def supersede(conn: Connection, ticket_ids: Sequence[int], field: Field, *, now: datetime) -> None:
    """What was said of this field of these tickets stays as history."""
    if not ticket_ids:
        return
    conn.execute(
        update(predictions)
        .where(
            predictions.c.ticket_id.in_(ticket_ids),
            predictions.c.field == field,
            predictions.c.superseded_at.is_(None),
        )
        .values(superseded_at=now)
    )


def of_ticket(conn: Connection, ticket_id: int) -> tuple[StoredPrediction, ...]:
    """Everything ever said of a ticket, the newest first."""
    query = select(predictions).where(predictions.c.ticket_id == ticket_id)
    rows = conn.execute(query.order_by(predictions.c.id.desc())).mappings()
    return tuple(_stored(row) for row in rows)


def find_current(conn: Connection, ticket_id: int, field: Field) -> StoredPrediction | None:
    """What is said of this field now."""
    query = select(predictions).where(
        predictions.c.ticket_id == ticket_id,
        predictions.c.field == field,
        predictions.c.superseded_at.is_(None),
    )
    row = conn.execute(query).mappings().first()
    return _stored(row) if row else None


def settle(
    conn: Connection,
    prediction_id: int,
    verdict: Verdict | None,
    *,
    by: str | None,
    at: datetime | None,
    before: str | None,
    after: str | None,
) -> None:
    """What a person made of it; all None when the decision was taken back."""
    conn.execute(
        update(predictions)
        .where(predictions.c.id == prediction_id)
        .values(
            verdict=verdict,
            settled_by=by,
            settled_at=at,
            settled_from=before,
            settled_to=after,
            proof=_proof(verdict, after),
        )
    )


def follow_instance(conn: Connection, before: Ticket, after: Ticket, *, now: datetime) -> None:
    """Values that were taken over from ServiceNow decide about what was predicted."""
    for field in Field:
        value = getattr(after, field)
        if not value or value == getattr(before, field):
            continue
        if found := find_current(conn, after.id, field):
            settle(
                conn,
                found.id,
                found.verdict_on(value),
                by=INSTANCE,
                at=now,
                before=getattr(before, f"effective_{field}"),
                after=value,
            )


def record(conn: Connection, field: Field, confidence: float) -> TrackRecord:
    """How often predictions in the same tenth of confidence were right, of those decided on."""
    low = min(int(confidence * 10), 9) / 10
    high = low + 0.1 if low < 0.85 else 2.0
    said = predictions.c
    rows = conn.execute(
        select(said.proof, func.count())
        .where(said.field == field, said.proof.in_((True, False)))
        .where(said.confidence >= low, said.confidence < high)
        .group_by(said.proof)
    )
    counts = {bool(row[0]): row[1] for row in rows}
    return TrackRecord(counts.get(True, 0), sum(counts.values()))


def hide(conn: Connection, field: Field) -> None:
    """Take what triage filled in back from the tickets that people left it on."""
    conn.execute(
        update(tickets)
        .where(tickets.c[f"{field}_confidence"].is_not(None))
        .values(dict.fromkeys(COLUMNS[field]))
    )


def show(conn: Connection, field: Field) -> None:
    """Fill in what is said now and sure, where nobody has decided."""
    current = (
        select(predictions)
        .where(predictions.c.field == field, predictions.c.superseded_at.is_(None))
        .where(predictions.c.sure)
        .subquery()
    )
    values = {name: current.c[said] for name, said in COLUMNS[field].items()}
    conn.execute(update(tickets).where(tickets.c.id == current.c.ticket_id).values(values))


def _proof(verdict: Verdict | None, after: str | None) -> ColumnElement[Any]:
    """Right or wrong by a person's word; silence and repeated corrections prove nothing."""
    said = predictions.c
    if after is None or verdict is Verdict.UNTOUCHED:
        return null()
    return case((said.taught_by.is_(None), said.value == after), else_=null())
