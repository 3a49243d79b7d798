"""People on both sides of a few tickets, and what must be true when they have stopped."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from app.db import links, tickets
from app.db.engine import reading
from app.errors import AppError
from app.integrations.servicenow import mapping
from app.models.servicenow import OutboxState
from app.models.tickets import Priority, Ticket, TicketStatus
from tests.world import BY, ENDING, JOURNAL, World

COMPARED = ("subject", "status", "priority")
STATES = {"1": {}, "2": {}, "3": {"hold_reason": "1"}, "6": {"close_code": "Solution provided"}}
MOST_CASES = 4


@dataclass
class Side:
    """What one side was told to say of a subject, in order, and what was ever shown there."""

    said: list[str] = field(default_factory=list)
    # When the last were said: a count of all that anybody said.
    at: int = 0
    shown: set[str] = field(default_factory=set)
    # The other side's last words, if they had not been shown here when the last were said.
    unseen: str = ""

    def say(self, text: str, other: "Side", *, at: int) -> None:
        last = other.said[-1] if other.said else ""
        self.unseen = "" if last in self.shown else last
        self.said.append(text)
        self.at = at


@dataclass
class Case:
    """One ticket; its token stands in its description, here and there."""

    ticket_id: int
    token: str
    here: Side = field(default_factory=Side)
    there: Side = field(default_factory=Side)
    notes: list[tuple[str, str]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    chosen: bool = False


class People:
    """Each public verb is something a person does; `which` is taken modulo the tickets."""

    def __init__(self, world: World, *, name: str = "case") -> None:
        """`name` tells these tickets from those of other people on the same instance."""
        self.world = world
        self._name = name
        self.cases: list[Case] = []
        # Tickets that a restored backup took away.
        self.lost: list[Case] = []
        # The sides whose backup was put back: "here", "there".
        self.restored: set[str] = set()
        self._numbers = count()
        # What somebody will say there in the moment of a write of ours.
        self._meanwhile: list[tuple[Case, str]] = []
        world.instance.add_user(name="Agent", email=BY)

    # -- here -------------------------------------------------------------------------------

    def open_ticket(self) -> None:
        if len(self.cases) < MOST_CASES:
            token = f"{self._name}-{next(self._numbers)}"
            ticket_id = self.world.open_ticket(f"First {token}", token)
            self.cases.append(Case(ticket_id, token))

    def subject_here(self, which: int) -> None:
        case, text = self._case(which), f"Here {next(self._numbers)}"
        try:
            self._change(case, subject=text)
        finally:
            # A process that died may have saved it or not.
            if self.ticket(case).subject == text:
                case.here.say(text, case.there, at=next(self._numbers))

    def status_here(self, which: int, status: str) -> None:
        ending = ENDING if TicketStatus(status).ended else {}
        self._change(self._case(which), status=status, **ending)

    def priority_here(self, which: int, priority: str) -> None:
        self._change(self._case(which), priority=Priority(priority))

    def note_here(self, which: int, internal: bool) -> None:
        case, text = self._case(which), f"Note {next(self._numbers)}"
        try:
            self.world.note(case.ticket_id, text, internal=internal)
        finally:
            if any(event.body == text for event in self.world.timeline(case.ticket_id)):
                case.notes.append((JOURNAL[internal], text))

    def create(self, which: int) -> None:
        self.world.create(self._case(which).ticket_id)

    def sync(self, which: int) -> None:
        self.world.sync(self._case(which).ticket_id)

    def choose(self, which: int, side: str) -> None:
        """Settle the ticket's conflicts."""
        case = self._case(which)
        if names := self.ticket(case).sn_conflicts:
            case.chosen = True
            conflicts = self.world.services.servicenow.conflicts
            try:
                conflicts.resolve(case.ticket_id, dict.fromkeys(names, side), by=BY)
            except AppError:
                # A value that cannot be taken; a person reads the sentence.
                return

    # -- there ------------------------------------------------------------------------------

    def subject_there(self, which: int) -> None:
        case, text = self._case(which), f"There {next(self._numbers)}"
        if self._edit(case, short_description=text):
            case.there.say(text, case.here, at=next(self._numbers))

    def subject_meanwhile(self, which: int, fault: dict[str, Any]) -> None:
        """A person there is quicker than our next write, which may come to grief as well."""
        case = self._case(which)
        if incident := self.incident(case):
            text = f"There {next(self._numbers)}"
            options: dict[str, Any] = {"by": "beth.anglin", "fields": {"short_description": text}}
            path = f"/incident/{incident['sys_id']}"
            self.world.instance.faults.add(method="PATCH", path=path, **fault, **options)
            self._meanwhile.append((case, text))

    def state_there(self, which: int, state: str) -> None:
        self._edit(self._case(which), state=state, close_notes="Done", **STATES[state])

    def priority_there(self, which: int, values: tuple[str, str]) -> None:
        self._edit(self._case(which), impact=values[0], urgency=values[1])

    def note_there(self, which: int, element: str) -> None:
        case, text = self._case(which), f"Reply {next(self._numbers)}"
        if self._edit(case, **{element: text}):
            case.replies.append(text)

    # -- what there is ----------------------------------------------------------------------

    def look(self) -> None:
        """Both sides are looked at: what they show now has been seen."""
        for case, text in [one for one in self._meanwhile if self._was_said(*one)]:
            self._meanwhile.remove((case, text))
            case.there.say(text, case.here, at=next(self._numbers))
        for case in self.cases:
            case.here.shown.add(self.ticket(case).subject)
            if incident := self.incident(case):
                case.there.shown.add(incident["short_description"])

    def _was_said(self, case: Case, text: str) -> bool:
        incident = self.incident(case)
        table = self.world.instance.table("sys_audit").values()
        return incident is not None and any(
            row["documentkey"] == incident["sys_id"] and row["newvalue"] == text for row in table
        )

    def ticket(self, case: Case) -> Ticket:
        with reading(self.world.engine) as conn:
            return tickets.get(conn, case.ticket_id)

    def incident(self, case: Case) -> dict[str, str] | None:
        return next(iter(self.incidents(case)), None)

    def incidents(self, case: Case) -> list[dict[str, str]]:
        rows = list(self.world.instance.incidents.values())
        return [row for row in rows if case.token in row["description"].split()]

    def writes(self) -> int:
        """How many writes the instance has seen."""
        requests = list(self.world.instance.requests)
        return sum(one["method"] in ("POST", "PATCH") for one in requests)

    def stop(self) -> None:
        """Nobody does anything any more."""
        # What was said in the moment of a write has been said.
        self.look()
        self.world.instance.faults.clear()
        self._meanwhile.clear()

    def retry_blocked(self) -> None:
        """An admin releases what a restored database holds, and blocked pushes are retried."""
        restores = self.world.services.servicenow.held_creates
        found = restores.find()
        if found is not None and found.held:
            restores.release(by=BY)
        for item in self.world.waiting():
            if item.state is OutboxState.BLOCKED:
                self.world.services.servicenow.outbox.retry(item.id, by=BY)

    def _case(self, which: int) -> Case:
        return self.cases[which % len(self.cases)]

    def _change(self, case: Case, **changes: str) -> None:
        self.world.services.tickets.change(case.ticket_id, changes, by=self.world.user)

    def _edit(self, case: Case, **fields: str) -> bool:
        """False where there is no incident to edit yet."""
        incident = self.incident(case)
        if incident is None:
            return False
        self.world.instance.edit(incident["sys_id"], **fields)
        return True

    # -- what must be true ------------------------------------------------------------------

    def check(self) -> None:
        """Nothing is doubled, lost or overwritten unseen; what differs is shown."""
        for case in [*self.cases, *self.lost]:
            assert len(self.incidents(case)) <= 1, "an incident was doubled"
        for case in self.cases:
            ticket, incident = self.ticket(case), self.incident(case)
            if incident is None or ticket.sn_sys_id != incident["sys_id"]:
                assert "there" in self.restored, "a ticket has no incident"
                continue
            self._check_values(ticket, incident)
            self._check_notes(case, incident)
            if not self.restored:
                self._check_words(case, ticket, incident)

    def _check_values(self, ticket: Ticket, incident: dict[str, str]) -> None:
        """What differs is shown: as a conflict, or as a blocked push with its reason."""
        theirs = mapping.ticket_values(incident, mapping.Maps())
        ours = links.values_of(ticket)
        waiting = [item for item in self.world.waiting() if item.ticket_id == ticket.id]
        assert all(item.state is OutboxState.BLOCKED and item.error for item in waiting)
        differing = {name for name in COMPARED if ours[name] != theirs.get(name)}
        assert differing <= set(ticket.sn_conflicts) or waiting, (ours, theirs)

    def _check_notes(self, case: Case, incident: dict[str, str]) -> None:
        sent = [one for one in self.world.notes_of(incident["sys_id"]) if one in case.notes]
        assert len(sent) == len(set(sent)), "a note was doubled"
        bodies = [event.body for event in self.world.timeline(case.ticket_id)]
        replies = [body for body in bodies if body in case.replies]
        assert len(replies) == len(set(replies)), "a reply was doubled"
        if not self.restored:
            assert sorted(sent) == sorted(case.notes), "a note was lost"
            assert set(replies) == set(case.replies), "a reply was lost"

    def _check_words(self, case: Case, ticket: Ticket, incident: dict[str, str]) -> None:
        """Words that gave way had been seen by who replaced them, are told of or asked about."""
        if ticket.subject != incident["short_description"] or case.chosen:
            return
        asked = ticket.sn_conflicts.get("subject", {}).get("theirs")
        last = {*case.here.said[-1:], *case.there.said[-1:]}
        assert not last or ticket.subject in last, f"{ticket.subject!r} is nobody's last word"
        for winner, loser in ((case.here, case.there), (case.there, case.here)):
            if winner.said[-1:] == [ticket.subject] and loser.said:
                gone = loser.said[-1]
                seen = winner.at > loser.at and gone != winner.unseen
                texts = [event.text for event in self.world.timeline(ticket.id)]
                # With the audit closed nobody can say which value it was, only where it stands.
                told = any(gone in text or "the history of" in text for text in texts)
                assert seen or told or gone == asked, (
                    f"{gone!r} gave way to {ticket.subject!r} unseen"
                )
