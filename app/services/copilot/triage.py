"""Triage of tickets: store predictions, show them by mode, record people's decisions."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from traceback import extract_tb
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from app.db import corrections as db_lessons
from app.db import events, predictions, suggestions, tickets
from app.db.engine import reading, writing
from app.db.ticket_columns import Changes, Predicted
from app.errors import DatabaseAway, Invalid, NotFound
from app.models.tickets import EventKind, Suggestion, Ticket
from app.models.triage import Field, PredictionView, Verdict
from app.services.copilot import corrections
from app.services.copilot.readings import Reading, predictions_of, with_reasons
from app.services.copilot.service import CopilotService, Triage
from app.services.copilot.settings import CopilotSettings, Rules
from app.services.copilot.similar import Around, SimilarService
from app.services.copilot.suggestions import SuggestionService

log = logging.getLogger("app.triage")
# Tickets per transaction: more are not faster, and block other writers longer.
BATCH = 100
Text = tuple[str, str]
"""A subject and a description."""
PLAIN: Text = ("The printer prints nothing", "")


class Explained(NamedTuple):
    """The predictions for one text with reasons, similar tickets and suggestions."""

    found: Triage
    around: Around
    steps: tuple[Suggestion, ...]


class TriageService:
    """Triage runs before the ticket is stored, so that no transaction waits for the model."""

    def __init__(
        self,
        *,
        engine: Engine,
        copilot: CopilotService,
        suggestions: SuggestionService,
        copilot_settings: CopilotSettings,
        similar: SimilarService,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._copilot = copilot
        self._suggestions = suggestions
        self._copilot_settings = copilot_settings
        self._similar = similar
        self._now = now

    def read(self, subject: str, description: str, *, but: int | None = None) -> Reading:
        """Predictions and suggestions for a text; fields with the mode off are left out.

        `but` is the ticket with this text, to exclude it from the similar tickets.
        """
        with reading(self._engine) as conn:
            rules = self._copilot_settings.rules(conn)
        unread = Reading(said=(), suggestions=(), rules=rules, ready=False)
        if not self._similar.ready:
            return unread
        with _going_on_without("a new text"):
            with reading(self._engine) as conn:
                (taught,) = corrections.recall(conn, [f"{subject}\n{description}"])
            found, around, steps = self._explain(subject, description, rules=rules, but=but)
            return Reading(
                said=tuple(
                    replace(one, neighbours=around.labelled) if one.field is Field.CATEGORY else one
                    for one in predictions_of(found, taught, rules)
                ),
                suggestions=steps,
                rules=rules,
                ready=found.ready,
            )
        return unread

    def _explain(
        self, subject: str, description: str, *, rules: Rules, but: int | None
    ) -> Explained:
        found = self._copilot.triage(subject, description, matrix=rules.matrix)
        around = self._similar.around(subject, description, but=but)
        steps = self._suggestions.steps(subject, description, like=around.matches)
        return Explained(found, around, steps)

    def keep(self, conn: Connection, ticket: Ticket, found: Reading, *, by: str | None) -> None:
        """Store the predictions for a ticket; a value it already has is recorded as a decision."""
        now = self._now()
        for one in found.said:
            predictions.add(conn, ticket.id, one, mode=found.rules.modes[one.field], now=now)
            if getattr(ticket, one.field):
                self._settle(conn, None, ticket, field=one.field, by=by)
        suggestions.store(conn, ticket.id, found.suggestions)
        if told := found.told():
            events.add(conn, ticket.id, EventKind.TRIAGE, told, author=None, internal=True, now=now)

    def completed(self, conn: Connection, ticket: Ticket, changes: Changes) -> Changes:
        """Add the priority of a person's impact and urgency; a priority alone clears both."""
        new = changes.copy()
        if new.get("impact") or new.get("urgency"):
            before = ticket.severity or (None, None)
            impact, urgency = new.get("impact") or before[0], new.get("urgency") or before[1]
            if not impact or not urgency:
                raise Invalid("Select both impact and urgency.")
            priority = self._copilot_settings.rules(conn).matrix[(impact, urgency)]
            return new | {"impact": impact, "urgency": urgency, "priority": priority}
        if "priority" in new and new["priority"] != ticket.priority:
            kept = ticket.severity if new["priority"] == ticket.effective_priority else None
            new["impact"], new["urgency"] = kept or (None, None)
        return new

    def follow(self, conn: Connection, before: Ticket, after: Ticket, *, by: str) -> None:
        """Record what a change of the ticket decides about its predictions."""
        for field in Field:
            if getattr(before, field) != getattr(after, field):
                self._settle(conn, before, after, field=field, by=by)
        if after.status.ended and not before.status.ended:
            self._leave_untouched(conn, after, by=by)
        if (before.subject, before.description) != (after.subject, after.description):
            tickets.fill(conn, after.id, triaged_at=None)

    def _settle(
        self,
        conn: Connection,
        before: Ticket | None,
        after: Ticket,
        *,
        field: Field,
        by: str | None,
    ) -> None:
        """Record a person's decision on a field, or its withdrawal."""
        found = predictions.find_current(conn, after.id, field)
        if found is None:
            return
        value = getattr(after, field)
        verdict = found.verdict_on(value)
        db_lessons.forget(conn, after.id, field)
        if by and value and verdict is not Verdict.ACCEPTED:
            corrections.teach(conn, after, field, by=by, now=self._now())
        predictions.settle(
            conn,
            found.id,
            verdict,
            by=by if value else None,
            at=self._now() if value else None,
            before=getattr(before, f"effective_{field}") if before and value else None,
            after=value,
        )

    def _leave_untouched(self, conn: Connection, ticket: Ticket, *, by: str) -> None:
        """Record predictions as accepted that are unchanged when the ticket is resolved."""
        for field in Field:
            found = predictions.find_current(conn, ticket.id, field)
            filled = getattr(ticket, f"predicted_{field}")
            if found and found.verdict is None and filled and filled == found.said.value:
                predictions.settle(
                    conn,
                    found.id,
                    Verdict.UNTOUCHED,
                    by=by,
                    at=self._now(),
                    before=filled,
                    after=filled,
                )

    def shown(self, conn: Connection, ticket_id: int) -> tuple[PredictionView, ...]:
        """The current predictions that agents can see, with the accuracy of similar cases."""
        modes = self._copilot_settings.rules(conn).modes
        every = predictions.of_ticket(conn, ticket_id)
        return tuple(
            PredictionView(
                one,
                predictions.record(conn, one.said.field, one.said.confidence),
                earlier=sum(other.said.field is one.said.field for other in every) - 1,
            )
            for one in sorted(every, key=lambda each: each.said.field)
            if one.superseded_at is None and one.mode.shows and modes[one.said.field].shows
        )

    def catch_up(self, *, limit: int = BATCH, pause: Callable[[], object] = lambda: None) -> int:
        """Triage a batch of active tickets without triage; returns how many were triaged.

        Open and in progress come before pending, newest first. `pause` is called before the
        batch. `complete` adds reasons and suggestions, which take longest.
        """
        with reading(self._engine) as conn:
            waiting = tickets.untriaged(conn, limit=limit)
        if not waiting:
            return 0
        pause()
        with reading(self._engine) as conn:
            rules = self._copilot_settings.rules(conn)
        return self._keep_all(list(zip(waiting, self._read_all(waiting, rules), strict=True)))

    def _read_all(self, waiting: Sequence[Ticket], rules: Rules) -> list[Reading]:
        """As `read`, without reasons, similar tickets and suggestions.

        A text that triage cannot read gets no predictions. Raises if it can read no text at all.
        """
        try:
            return self._read_batch(list(map(_text_of, waiting)), rules)
        except DatabaseAway:
            raise
        except Exception:  # noqa: BLE001 One of the texts, unless the next line raises too.
            self._read_batch([PLAIN], rules)
        return [self._read_alone(ticket, rules) for ticket in waiting]

    def _read_alone(self, ticket: Ticket, rules: Rules) -> Reading:
        with _going_on_without(f"ticket {ticket.id}"):
            return self._read_batch([_text_of(ticket)], rules)[0]
        return Reading(said=(), suggestions=(), rules=rules, ready=True)

    def _read_batch(self, texts: Sequence[Text], rules: Rules) -> list[Reading]:
        with reading(self._engine) as conn:
            taught = corrections.recall(conn, ["\n".join(parts) for parts in texts])
        every = self._copilot.triage_all(texts, matrix=rules.matrix)
        return [
            Reading(predictions_of(one, known, rules), suggestions=(), rules=rules, ready=one.ready)
            for one, known in zip(every, taught, strict=True)
        ]

    def _keep_all(self, found: Sequence[tuple[Ticket, Reading]]) -> int:
        """Store a batch, except for decided fields and tickets that changed meanwhile."""
        now = self._now()
        with writing(self._engine) as conn:
            versions = tickets.still_untriaged(conn, [ticket.id for ticket, _ in found])
            kept = {
                ticket.id: said.without({field for field in Field if getattr(ticket, field)})
                for ticket, said in found
                if said.ready and versions.get(ticket.id) == ticket.version
            }
            if not kept:
                return 0
            values = {
                ticket_id: said.refilled(now) | Predicted(reasons_pending=True)
                for ticket_id, said in kept.items()
            }
            tickets.fill_all(conn, values)
            every = [(ticket_id, one) for ticket_id, said in kept.items() for one in said.said]
            predictions.add_all(conn, every, modes=found[0][1].rules.modes, now=now)
            suggestions.clear(conn, list(kept))
            told = [
                events.NewEntry(ticket_id, said.told())
                for ticket_id, said in kept.items()
                if said.told()
            ]
            events.add_events(conn, told, kind=EventKind.TRIAGE, now=now)
        return len(kept)

    def complete_next(self, *, pause: Callable[[], object] = lambda: None) -> bool:
        """`complete` the next ticket that was triaged in a batch; returns whether there was one.

        `pause` is called first.
        """
        with reading(self._engine) as conn:
            waiting = tickets.unexplained(conn, limit=1)
        if not waiting:
            return False
        pause()
        try:
            return self.complete(waiting[0].id)
        except NotFound:  # The ticket's import was undone meanwhile.
            return False

    def complete(self, ticket_id: int) -> bool:
        """Add reasons and suggestions to a ticket that was triaged in a batch.

        Returns whether this call added them; False also before the Copilot is loaded. Decisions
        stay. Raises NotFound.
        """
        with reading(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            rules = self._copilot_settings.rules(conn)
        if not ticket.reasons_pending or not self._similar.ready:
            return False
        explained = self._explained(ticket, rules)
        if explained is not None and not explained.found.ready:
            return False
        with writing(self._engine) as conn:
            current = tickets.get(conn, ticket_id, for_update=True)
            if not current.reasons_pending or current.version != ticket.version:
                return False
            tickets.fill(conn, ticket_id, reasons_pending=False)
            if explained is not None:
                _store_reasons(conn, ticket_id, explained)
        return True

    def _explained(self, ticket: Ticket, rules: Rules) -> Explained | None:
        """None if triage cannot read the text; the predictions stay without reasons."""
        with _going_on_without(f"ticket {ticket.id}"):
            return self._explain(*_text_of(ticket), rules=rules, but=ticket.id)
        return None


def _store_reasons(conn: Connection, ticket_id: int, explained: Explained) -> None:
    suggestions.store(conn, ticket_id, explained.steps)
    for one in explained.found.said:
        if stored := predictions.find_current(conn, ticket_id, one.field):
            said = with_reasons(stored.said, one, explained.around.labelled)
            predictions.explain(conn, stored.id, said)


def _text_of(ticket: Ticket) -> Text:
    return ticket.subject, ticket.description


@contextmanager
def _going_on_without(what: str) -> Iterator[None]:
    """Log an error of triage and continue with the next text. Raises DatabaseAway."""
    try:
        yield
    except DatabaseAway:
        raise
    except Exception as exc:  # noqa: BLE001 Its message might quote the text.
        frame = extract_tb(exc.__traceback__)[-1]
        where = f"{type(exc).__name__} in {frame.name}, line {frame.lineno}"
        log.error("triage cannot read %s: %s", what, where)
