"""The sync history: every exchange about a ticket or an import, kept for HISTORY_DAYS."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection as DbConnection

from app.copilot.secrets.redact import masked
from app.db import sync_history
from app.db.engine import reading, writing
from app.integrations.servicenow.call_listeners import Call
from app.models.servicenow import OutboxItem, OutboxState
from app.models.servicenow_pages import FieldChange, HistoryEntry, HistoryFilter, HistoryPage
from app.models.sync_runs import SyncRun
from app.services.servicenow.context import Context

PAGE_SIZE = 50
CHUNK = 500
SHOWN = 2_000
JOURNALS = ("comments", "work_notes")
BETWEEN_PURGES = timedelta(hours=1)
# Outcome of an attempt by the state of the outbox item after it, where the names differ.
OUTCOMES = {OutboxState.PENDING: "postponed"}


class SyncHistory:
    """Writes and reads sync history entries."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._purge_at: datetime | None = None

    # -- writing --------------------------------------------------------------------------

    def add_push(self, conn: DbConnection, item: OutboxItem, calls: Sequence[Call]) -> None:
        """Record one delivery attempt with the current state of its outbox item."""
        state, error, number = sync_history.outcome(conn, item)
        sync_history.add(
            conn,
            at=self._context.now(),
            direction="push",
            what=item.kind,
            ticket_id=item.ticket_id,
            number=number or "",
            who=item.created_by,
            attempt=item.attempts,
            outcome=OUTCOMES.get(state, str(state)),
            detail=error or "",
            changes=field_changes(calls),
            **told(calls),
        )

    def add_link(
        self, conn: DbConnection, ticket_id: int, *, number: str, by: str, calls: Sequence[Call]
    ) -> None:
        """Record that a ticket was linked to an existing incident."""
        sync_history.add(
            conn,
            at=self._context.now(),
            direction="pull",
            what="link",
            ticket_id=ticket_id,
            number=number,
            who=by,
            **told(calls),
        )

    def add_run(self, run: SyncRun, calls: Sequence[Call]) -> None:
        """Record a finished import as one entry, whatever its number of incidents."""
        counts = ("fetched", "created", "updated", "unchanged", "skipped", "failed")
        started = run.started_at or run.created_at
        seconds = ((run.finished_at or self._context.now()) - started).total_seconds()
        facts = told(calls)
        facts["duration_ms"] = round(1000 * seconds)
        with writing(self._context.engine) as conn:
            sync_history.add(
                conn,
                at=self._context.now(),
                direction="pull",
                what="dry run" if run.dry_run else "import" if run.import_tickets else "mirror",
                run_id=run.id,
                who=run.created_by,
                outcome=str(run.state),
                detail=run.error or ", ".join(f"{name} {getattr(run, name)}" for name in counts),
                **facts,
            )

    def purge_due(self) -> None:
        """Delete expired entries, at most once an hour."""
        now = self._context.now()
        # A later `_purge_at` was set before the clock of this server was set back.
        if self._purge_at is not None and now < self._purge_at <= now + BETWEEN_PURGES:
            return
        self._purge_at = now + BETWEEN_PURGES
        with writing(self._context.engine) as conn:
            sync_history.purge(conn, older_than=now - self._context.history_kept)

    # -- reading --------------------------------------------------------------------------

    def page(self, wanted: HistoryFilter, *, page: int = 1) -> HistoryPage:
        """One page of matching entries, newest first."""
        with reading(self._context.engine) as conn:
            total = sync_history.count(conn, wanted)
            pages = max(1, -(-total // PAGE_SIZE))
            page = min(max(1, page), pages)
            rows = sync_history.page(conn, wanted, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
        capped = total >= sync_history.COUNT_CAP
        rows = tuple(map(_masked, rows))
        return HistoryPage(rows, total, capped=capped, page=page, pages=pages, wanted=wanted)

    def all(self, wanted: HistoryFilter) -> Iterator[HistoryEntry]:
        """All matching entries, newest first, read in chunks."""
        last_id: int | None = None
        while True:
            with reading(self._context.engine) as conn:
                rows = sync_history.before(conn, wanted, last_id=last_id, limit=CHUNK)
            yield from map(_masked, rows)
            if not rows:
                return
            last_id = rows[-1].id


def told(calls: Sequence[Call]) -> sync_history.CallFacts:
    """Entry columns from the calls of an exchange: the last write decides, else the last call."""
    if not calls:
        return {}
    decisive = next((call for call in reversed(calls) if call.writes), calls[-1])
    names = ("method", "path", "status", "transaction", "ms")
    return {
        "status": decisive.status,
        "transaction_id": decisive.transaction,
        "duration_ms": sum(call.ms for call in calls),
        "calls": [{name: getattr(call, name) for name in names} for call in calls],
    }


def field_changes(calls: Sequence[Call]) -> tuple[FieldChange, ...]:
    """Old and new value of each field that the last write sent.

    The old value comes from the read before the write, the new value from the response to it. A
    journal field is empty in the response and a lost response has no values: then the new value is
    the one that was sent.
    """
    written = next((call for call in reversed(calls) if call.writes), None)
    if written is None:
        return ()
    read = (call.record for call in calls if call.path == written.path and not call.writes)
    before = next(read, {})
    after = {**written.sent, **{n: v for n, v in written.record.items() if n not in JOURNALS}}
    return tuple(
        FieldChange(name, shortened(before.get(name, "")), shortened(after[name]))
        for name in written.sent
    )


def _masked(one: HistoryEntry) -> HistoryEntry:
    """The entry with secrets hidden."""
    changes = tuple(
        FieldChange(change.field, masked(change.before), masked(change.after))
        for change in one.changes
    )
    return replace(one, detail=masked(one.detail), changes=changes)


def shortened(text: str) -> str:
    """The value, cut to the length that an entry stores."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
