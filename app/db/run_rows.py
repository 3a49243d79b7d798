"""What became of each incident of a run: the rows of its report, and what an undo takes away."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, delete, exists, func, select, update

from app.db import bulk
from app.db.tables import exchanges, outbox, sync_rows, sync_runs, ticket_events, tickets
from app.models.sync_runs import Outcome, PulledRow

COLUMNS = ("sys_id", "number", "outcome", "reason", "ticket_id")
UNDONE = "Ticket deleted when the import was undone."
# A person wrote in the ticket's timeline, here and not in ServiceNow.
_touched = exists().where(
    ticket_events.c.ticket_id == tickets.c.id,
    ticket_events.c.author.is_not(None),
    ticket_events.c.sn_journal_id.is_(None),
)
_pushed = exists().where(outbox.c.ticket_id == tickets.c.id)


def _row(row: RowMapping) -> PulledRow:
    return PulledRow(
        sys_id=row["sys_id"],
        number=row["number"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        ticket_id=row["ticket_id"],
    )


def add(conn: Connection, run_id: int, found: Sequence[PulledRow]) -> None:
    """What became of the rows of one page."""
    values = [
        (row.sys_id, row.number, row.outcome.value, row.reason, row.ticket_id) for row in found
    ]
    bulk.insert(conn, sync_rows, COLUMNS, values, same={"run_id": run_id})


def rows(conn: Connection, run_id: int, *, after: str = "", limit: int) -> tuple[PulledRow, ...]:
    """Some rows of a run in sys_id order."""
    query = select(sync_rows).where(sync_rows.c.run_id == run_id, sync_rows.c.sys_id > after)
    found = conn.execute(query.order_by(sync_rows.c.sys_id).limit(limit)).mappings()
    return tuple(_row(row) for row in found)


def samples(conn: Connection, run_id: int, *, limit: int) -> tuple[PulledRow, ...]:
    """Some rows to look at: those with a reason first."""
    query = (
        select(sync_rows)
        .where(sync_rows.c.run_id == run_id)
        .order_by(sync_rows.c.reason == "", sync_rows.c.outcome, sync_rows.c.sys_id)
    )
    return tuple(_row(row) for row in conn.execute(query.limit(limit)).mappings())


def forget_dry_runs(conn: Connection, *, before: int) -> None:
    """Drop the rows of dry runs that ended before run `before`: their report is of no use now."""
    old = select(sync_runs.c.id).where(sync_runs.c.dry_run, sync_runs.c.id < before)
    conn.execute(delete(sync_rows).where(sync_rows.c.run_id.in_(old)))


def remove_untouched(conn: Connection, run_id: int, found: Sequence[PulledRow]) -> int:
    """Delete the tickets that these rows made but were neither touched nor pushed; how many.

    A number that is free again may become another ticket's, so the rows and the history forget it.
    """
    made = [row for row in found if row.outcome is Outcome.CREATED and row.ticket_id]
    gone = conn.execute(
        delete(tickets).where(
            tickets.c.id.in_([row.ticket_id for row in made]),
            tickets.c.sn_sys_id.in_([row.sys_id for row in made]),
            ~_touched,
            ~_pushed,
        )
    )
    _forget(conn, run_id, made)
    return gone.rowcount


def _forget(conn: Connection, run_id: int, made: Sequence[PulledRow]) -> None:
    """Nothing that is kept names a ticket of these rows that is gone."""
    conn.execute(
        update(sync_rows)
        .where(
            sync_rows.c.run_id == run_id,
            sync_rows.c.sys_id.in_([row.sys_id for row in made]),
            ~exists().where(tickets.c.id == sync_rows.c.ticket_id),
        )
        .values(ticket_id=None, reason=UNDONE)
    )
    conn.execute(
        update(exchanges)
        .where(
            exchanges.c.ticket_id.in_([row.ticket_id for row in made]),
            ~exists().where(tickets.c.id == exchanges.c.ticket_id),
        )
        .values(ticket_id=None)
    )


def kept_pushed(conn: Connection, run_id: int) -> int:
    """How many of the tickets that a run made are left because of a push alone."""
    query = (
        select(func.count())
        .select_from(tickets)
        .join(sync_rows, sync_rows.c.ticket_id == tickets.c.id)
        .where(sync_rows.c.run_id == run_id, sync_rows.c.outcome == Outcome.CREATED)
        .where(tickets.c.sn_sys_id == sync_rows.c.sys_id, _pushed, ~_touched)
    )
    return conn.execute(query).scalar_one()
