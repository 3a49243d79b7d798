"""Triage of tickets: what the Copilot says is kept, shown as set, and settled by people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isclose
from typing import Any

from sqlalchemy import Connection, Engine

from app.copilot.secrets.redact import masked
from app.db import corrections as db_lessons
from app.db import events, predictions, suggestions, tickets
from app.db.engine import reading, writing
from app.errors import Invalid, NotFound
from app.models.tickets import EventKind, Suggestion, Ticket
from app.models.triage import Field, Mode, Neighbour, Prediction, PredictionView, Verdict
from app.services.copilot import corrections
from app.services.copilot.service import CopilotService, Triage
from app.services.copilot.settings import Governance, Rules
from app.services.copilot.similar import SimilarService
from app.services.copilot.suggestions import Suggesting

# Tickets of one matrix and one transaction: more gain nothing, and hold up who else writes.
BATCH = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read out of one text, and how the Copilot was set at that moment."""

    said: tuple[Prediction, ...]
    suggestions: tuple[Suggestion, ...]
    rules: Rules
    ready: bool

    def without(self, fields: set[Field]) -> "Reading":
        """The same, silent about some fields."""
        return replace(self, said=tuple(one for one in self.said if one.field not in fields))

    def filled(self, now: datetime) -> dict[str, Any]:
        """The columns of a ticket: a value where it is sure and the mode is autofill."""
        values: dict[str, Any] = {"triaged_at": now if self.ready else None}
        for one in self.said:
            mode = self.rules.modes[one.field]
            if not mode.shows:
                continue
            values["triage_model"] = one.model
            if mode is Mode.AUTOFILL:
                values |= _columns(one)
        return values

    def emptied(self) -> dict[str, Any]:
        """The columns that an earlier triage of the same ticket may have filled."""
        return {name: None for one in self.said for name in predictions.COLUMNS[one.field]}

    def told(self) -> str:
        """One sentence for the timeline; empty when nothing may be shown."""
        parts = [
            f"{one.field} {one.value if one.sure else 'not sure'} ({_how_sure(one)})"
            for one in self.said
            if self.rules.modes[one.field].shows
        ]
        if not parts:
            return ""
        sentence = ", ".join(parts)
        return f"{sentence[0].upper()}{sentence[1:]}, by {self.said[0].model}."


class TriageService:
    """Reads a text before the ticket is written, so that no transaction waits for the engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        copilot: CopilotService,
        suggesting: Suggesting,
        governance: Governance,
        similar: SimilarService,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._copilot = copilot
        self._suggesting = suggesting
        self._governance = governance
        self._similar = similar
        self._now = now

    def read(self, subject: str, description: str, *, but: int | None = None) -> Reading:
        """What can be said of a text now; nothing of a field that is off.

        `but` is the ticket that has this text, if there is one: it is no neighbour of itself.
        """
        text = masked(f"{subject}\n{description}")
        with reading(self._engine) as conn:
            rules = self._governance.rules(conn)
            (taught,) = corrections.recall(conn, [text])
        if not self._similar.ready:
            return Reading(said=(), suggestions=(), rules=rules, ready=False)
        found = self._copilot.triage(subject, description, matrix=rules.matrix)
        around = self._similar.around(subject, description, but=but)
        return Reading(
            said=tuple(
                replace(one, neighbours=around.labelled) if one.field is Field.CATEGORY else one
                for one in _said(found, taught, rules)
            ),
            suggestions=self._suggesting.steps(subject, description, like=around.matches),
            rules=rules,
            ready=found.ready,
        )

    def keep(self, conn: Connection, ticket: Ticket, found: Reading, *, by: str | None) -> None:
        """Write down what was said of a ticket; a value it already has decides at once."""
        now = self._now()
        for one in found.said:
            predictions.add(conn, ticket.id, one, mode=found.rules.modes[one.field], now=now)
            if getattr(ticket, one.field):
                self._settle(conn, None, ticket, field=one.field, by=by)
        suggestions.store(conn, ticket.id, found.suggestions)
        if told := found.told():
            events.add(conn, ticket.id, EventKind.TRIAGE, told, author=None, internal=True, now=now)

    def completed(
        self, conn: Connection, ticket: Ticket, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Priority follows from a person's impact and urgency; a priority alone forgets them."""
        new = dict(changes)
        if new.get("impact") or new.get("urgency"):
            before = ticket.severity or (None, None)
            impact, urgency = new.get("impact") or before[0], new.get("urgency") or before[1]
            if not impact or not urgency:
                raise Invalid("Give both impact and urgency.")
            priority = self._governance.rules(conn).matrix[(impact, urgency)]
            return new | {"impact": impact, "urgency": urgency, "priority": priority}
        if "priority" in new and new["priority"] != ticket.priority:
            kept = ticket.severity if new["priority"] == ticket.effective_priority else None
            new["impact"], new["urgency"] = kept or (None, None)
        return new

    def follow(self, conn: Connection, before: Ticket, after: Ticket, *, by: str) -> None:
        """What a change of the ticket says about what was predicted of it."""
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
        """A person decided on this field, or took the decision back."""
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
        """Resolved with what triage filled in: nobody objected."""
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
        """What agents may see of a ticket's predictions, each with the desk's own record."""
        modes = self._governance.rules(conn).modes
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
        """Triage a batch of unfinished tickets that came in without it; how many were triaged.

        Open and in progress go before pending, the newest first. `pause` is called before the
        batch. Reasons and steps, which cost most, follow with `complete`.
        """
        with reading(self._engine) as conn:
            waiting = tickets.untriaged(conn, limit=limit)
        if not waiting:
            return 0
        pause()
        return self._keep_all(list(zip(waiting, self._read_all(waiting), strict=True)))

    def _read_all(self, waiting: Sequence[Ticket]) -> list[Reading]:
        """As `read`, without words, neighbours and steps."""
        texts = [(ticket.subject, ticket.description) for ticket in waiting]
        hidden = [masked("\n".join(parts)) for parts in texts]
        with reading(self._engine) as conn:
            rules = self._governance.rules(conn)
            taught = corrections.recall(conn, hidden)
        every = self._copilot.triage_all(texts, matrix=rules.matrix)
        return [
            Reading(_said(found, known, rules), suggestions=(), rules=rules, ready=found.ready)
            for found, known in zip(every, taught, strict=True)
        ]

    def _keep_all(self, found: Sequence[tuple[Ticket, Reading]]) -> int:
        """What people or ServiceNow decided, or changed meanwhile, is left alone."""
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
                ticket_id: said.emptied() | said.filled(now) | {"reasons_pending": True}
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
            events.tell_all(conn, told, kind=EventKind.TRIAGE, now=now)
        return len(kept)

    def complete_next(self, *, pause: Callable[[], object] = lambda: None) -> bool:
        """`complete` the next ticket that was triaged in a batch; whether one was completed.

        `pause` is called before.
        """
        with reading(self._engine) as conn:
            waiting = tickets.unexplained(conn, limit=1)
        if not waiting:
            return False
        pause()
        try:
            return self.complete(waiting[0].id)
        except NotFound:  # An import was undone meanwhile.
            return False

    def complete(self, ticket_id: int) -> bool:
        """Add reasons and steps to what a batch predicted; whether this call did.

        Verdicts stay. Nothing happens before the Copilot is loaded. Raises NotFound.
        """
        with reading(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
            matrix = self._governance.rules(conn).matrix
        if not ticket.reasons_pending or not self._similar.ready:
            return False
        found = self._copilot.triage(ticket.subject, ticket.description, matrix=matrix)
        if not found.ready:
            return False
        around = self._similar.around(ticket.subject, ticket.description, but=ticket_id)
        steps = self._suggesting.steps(ticket.subject, ticket.description, like=around.matches)
        with writing(self._engine) as conn:
            current = tickets.get(conn, ticket_id, for_update=True)
            if not current.reasons_pending or current.version != ticket.version:
                return False
            tickets.fill(conn, ticket_id, reasons_pending=False)
            suggestions.store(conn, ticket_id, steps)
            for one in found.said:
                if stored := predictions.find_current(conn, ticket_id, one.field):
                    explained = _explained(stored.said, one, around.labelled)
                    predictions.explain(conn, stored.id, explained)
        return True


def _said(
    found: Triage, taught: Mapping[Field, corrections.Recalled], rules: Rules
) -> tuple[Prediction, ...]:
    """What is said now: a correction of the same words before the engine's own."""
    return tuple(
        _by_matrix(taught[one.field].instead_of(one), rules) if one.field in taught else one
        for one in found.said
        if rules.modes[one.field] is not Mode.OFF
    )


def _explained(
    stored: Prediction, again: Prediction, labelled: tuple[Neighbour, ...]
) -> Prediction:
    """The words of another model, or of a text that was changed, would explain something else."""
    same = (
        not stored.taught_by
        and stored.model == again.model
        and isclose(stored.confidence, again.confidence, rel_tol=1e-6)
    )
    return replace(
        stored,
        words_for=again.words_for if same else (),
        words_against=again.words_against if same else (),
        neighbours=labelled if stored.field is Field.CATEGORY else (),
    )


def _how_sure(said: Prediction) -> str:
    return "as corrected before" if said.taught_by else f"{said.confidence:.0%}"


def _by_matrix(said: Prediction, rules: Rules) -> Prediction:
    """Priority follows from impact and urgency by the matrix as it is set."""
    if said.impact is None or said.urgency is None:
        return said
    return replace(said, value=rules.matrix[(said.impact, said.urgency)])


def _columns(said: Prediction) -> dict[str, Any]:
    return {
        name: getattr(said, of) if said.sure or of == "confidence" else None
        for name, of in predictions.COLUMNS[said.field].items()
    }
