"""Random schedules with people on both sides, restored backups and clocks that jump.

After each, when the trouble is over: no incident and no note is there twice, none is missing that
a restored backup did not take away, what differs is a visible conflict or a blocked push, nobody's
words were replaced unseen, and nothing is written any more once people have stopped.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from app.db import links, tickets
from app.db.engine import reading
from app.errors import AppError
from app.integrations import servicenow_mapping as mapping
from app.models import OutboxState, Priority, Ticket, TicketStatus
from app.simulator import Instance
from tests.backups import DatabaseBackup, InstanceBackup
from tests.conftest import Clock
from tests.test_schedules import FAULTS
from tests.world import BY, ENDING, JOURNAL, World, a_world

pytestmark = [
    pytest.mark.slow,
    # A process that dies closes nothing.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
]
# Played side by side.
PARTS = 4
COMPARED = ("subject", "status", "priority")
STATES = {"1": {}, "2": {}, "3": {"hold_reason": "1"}, "6": {"close_code": "Solution provided"}}
IMPACT_URGENCY = (("1", "1"), ("2", "2"), ("3", "2"))
HOUR = 3600
# Long ago, so that no schedule comes near the real time, which answers carry as their Date.
START = datetime(2024, 1, 1, tzinfo=UTC)
which = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(
        st.just("fault"),
        st.sampled_from(FAULTS),
        st.sampled_from(["POST", "PATCH", "GET"]),
        st.integers(1, 2),
    ),
    st.tuples(st.just("subject here"), which),
    st.tuples(st.just("subject there"), which),
    st.tuples(st.just("status here"), which, st.sampled_from(["open", "in_progress", "resolved"])),
    st.tuples(st.just("state there"), which, st.sampled_from(list(STATES))),
    st.tuples(st.just("priority here"), which, st.sampled_from(["low", "medium", "urgent"])),
    st.tuples(st.just("priority there"), which, st.sampled_from(IMPACT_URGENCY)),
    st.tuples(st.just("note here"), which, st.booleans()),
    st.tuples(st.just("note there"), which, st.sampled_from(["comments", "work_notes"])),
    st.tuples(st.just("create"), which),
    st.tuples(st.just("create"), which),
    st.tuples(st.just("sync"), which),
    st.tuples(st.just("choose"), which, st.sampled_from(["ours", "theirs"])),
    st.tuples(st.just("open")),
    st.tuples(st.just("tick")),
    st.tuples(st.just("tick")),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 76, 600])),
    st.tuples(st.just("jump"), st.sampled_from([-HOUR, -60, 600, 30 * HOUR])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("die in"), st.integers(0, 60)),
    st.tuples(st.just("arrive")),
    st.tuples(st.just("back up"), st.sampled_from(["here", "there"])),
    st.tuples(st.just("restore"), st.sampled_from(["here", "there"])),
)


class TimedInstance(Instance):
    """Lives by a clock of its own, which no jump of ours moves."""

    def __init__(self) -> None:
        self.clock = Clock(START)
        super().__init__(monotonic=lambda: self.clock.moment.timestamp())

    def now(self) -> str:
        return self.clock.moment.strftime("%Y-%m-%d %H:%M:%S")


@dataclass
class Side:
    """What one side was told to say of a ticket's subject, and what was ever shown there."""

    said: list[str] = field(default_factory=list)
    # The other side's last words that had not been shown here when the last were said.
    unseen: str = ""
    shown: set[str] = field(default_factory=set)


@dataclass
class Case:
    """One ticket of a schedule; its token stands in its description, here and there."""

    ticket_id: int
    token: str
    here: Side = field(default_factory=Side)
    there: Side = field(default_factory=Side)
    notes: list[tuple[str, str]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)


class Play:
    """One schedule: what people do on both sides, and what has to be true in the end."""

    def __init__(self, world: World, way: str) -> None:
        self._world = world
        self._numbers = count()
        self._lost: list[Case] = []
        self._restored: set[str] = set()
        self._chosen: set[int] = set()
        world.instance.reset()
        world.instance.honour_client_sys_id = way
        world.instance.add_user(name="Agent", email=BY)
        self._cases = [self._opened() for _ in range(2)]
        self._backups: dict[str, Any] = {
            "here": DatabaseBackup(world.settings.database_url, "backup"),
            "there": InstanceBackup(world.instance),
        }
        self._known: dict[str, list[Case]] = {}

    def _opened(self) -> Case:
        token = f"token-{next(self._numbers)}"
        return Case(self._world.open_ticket(f"First {token}", token), token)

    # -- what happens -----------------------------------------------------------------------

    def act(self, name: str, *args: Any) -> None:
        getattr(self, "_" + name.replace(" ", "_"))(*args)
        self.look()

    def look(self) -> None:
        """What each side shows now has been seen there."""
        for case in self._cases:
            case.here.shown.add(self._ticket(case).subject)
            if incident := self._incident(case):
                case.there.shown.add(incident["short_description"])

    def _case(self, which: int) -> Case:
        return self._cases[which % len(self._cases)]

    def _ticket(self, case: Case) -> Ticket:
        with reading(self._world.engine) as conn:
            return tickets.get(conn, case.ticket_id)

    def _incident(self, case: Case) -> dict[str, str] | None:
        found = self._incidents(case)
        return found[0] if found else None

    def _incidents(self, case: Case) -> list[dict[str, str]]:
        rows = self._world.instance.incidents.values()
        return [row for row in rows if case.token in row["description"].split()]

    def _fault(self, fault: dict[str, Any], method: str, times: int) -> None:
        self._world.instance.faults.add(method=method, times=times, path="/table/", **fault)

    def _change(self, case: Case, **changes: str) -> None:
        world = self._world
        world.services.tickets.change(case.ticket_id, changes, by=world.user)

    def _edit(self, case: Case, **fields: str) -> None:
        if incident := self._incident(case):
            self._world.instance.edit(incident["sys_id"], **fields)

    def _subject_here(self, which: int) -> None:
        case = self._case(which)
        text = f"Here {next(self._numbers)}"
        unseen = _unseen(case.there, by=case.here)
        try:
            self._change(case, subject=text)
        finally:
            # A process that died may have saved it or not.
            if self._ticket(case).subject == text:
                case.here.unseen = unseen
                case.here.said.append(text)

    def _subject_there(self, which: int) -> None:
        case = self._case(which)
        if self._incident(case):
            text = f"There {next(self._numbers)}"
            case.there.unseen = _unseen(case.here, by=case.there)
            case.there.said.append(text)
            self._edit(case, short_description=text)

    def _status_here(self, which: int, status: str) -> None:
        ending = ENDING if TicketStatus(status).ended else {}
        self._change(self._case(which), status=status, **ending)

    def _state_there(self, which: int, state: str) -> None:
        self._edit(self._case(which), state=state, close_notes="Done", **STATES[state])

    def _priority_here(self, which: int, priority: str) -> None:
        self._change(self._case(which), priority=Priority(priority))

    def _priority_there(self, which: int, values: tuple[str, str]) -> None:
        self._edit(self._case(which), impact=values[0], urgency=values[1])

    def _note_here(self, which: int, internal: bool) -> None:
        case = self._case(which)
        text = f"Note {next(self._numbers)}"
        try:
            self._world.note(case.ticket_id, text, internal=internal)
        finally:
            if any(event.body == text for event in self._world.timeline(case.ticket_id)):
                case.notes.append((JOURNAL[internal], text))

    def _note_there(self, which: int, element: str) -> None:
        case = self._case(which)
        if self._incident(case):
            text = f"Reply {next(self._numbers)}"
            case.replies.append(text)
            self._edit(case, **{element: text})

    def _create(self, which: int) -> None:
        self._world.create(self._case(which).ticket_id)

    def _sync(self, which: int) -> None:
        self._world.sync(self._case(which).ticket_id)

    def _choose(self, which: int, side: str) -> None:
        case = self._case(which)
        if names := self._ticket(case).sn_conflicts:
            self._chosen.add(case.ticket_id)
            choices = dict.fromkeys(names, side)
            try:
                self._world.services.servicenow.conflicts.resolve(case.ticket_id, choices, by=BY)
            except AppError:
                # A value that cannot be taken; a person sees the sentence.
                return

    def _open(self) -> None:
        if len(self._cases) < 4:
            self._cases.append(self._opened())

    def _tick(self) -> None:
        self._world.tick()

    def _wait(self, seconds: int) -> None:
        self._world.wait(seconds)
        self._passed(seconds)
        self._world.tick()

    def _passed(self, seconds: float) -> None:
        assert isinstance(self._world.instance, TimedInstance)
        self._world.instance.clock.forward(seconds=seconds)

    def _jump(self, seconds: int) -> None:
        # A write on its way arrives first: how long one may take is measured by this clock.
        self._world.arrive()
        self._passed(90)
        self._world.clock.forward(seconds=seconds)

    def _restart(self) -> None:
        self._world.stop()
        self._world.start()

    def _die_in(self, steps: int) -> None:
        self._world.fuse.burn_at(steps)

    def _arrive(self) -> None:
        self._world.arrive()

    def _back_up(self, side: str) -> None:
        with stopped(self._world) if side == "here" else nullcontext():
            self._backups[side].take()
        self._known[side] = list(self._cases)

    def _restore(self, side: str) -> None:
        if side not in self._known:
            return
        self._restored.add(side)
        self._world.under_way.clear()
        if side == "there":
            self._backups[side].put_back()
            return
        with stopped(self._world):
            self._backups[side].put_back()
        self._lost += [case for case in self._cases if case not in self._known[side]]
        self._cases = list(self._known[side])

    # -- the end ----------------------------------------------------------------------------

    def end(self) -> None:
        """The trouble is over: every ticket gets its incident, and both sides come together."""
        self._come_to_rest()
        for case in self._cases:
            self._world.create(case.ticket_id)
            self._world.sync(case.ticket_id)
        self._come_to_rest()
        self.look()
        for case in [*self._cases, *self._lost]:
            assert len(self._incidents(case)) <= 1, "an incident was doubled"
        for case in self._cases:
            self._check(case)
        self._check_silence()

    def _come_to_rest(self) -> None:
        world = self._world
        world.fuse.burn_at(None)
        world.tick()
        world.wait(20)
        world.arrive()
        world.instance.faults.clear()
        for _ in range(8):
            world.clock.forward(minutes=20)
            self._passed(20 * 60)
            world.services.servicenow.incoming.ask()
            world.tick()
            for item in world.owed():
                if item.state is OutboxState.BLOCKED:
                    world.services.servicenow.pushes.retry(item.id, by=BY)

    def _check(self, case: Case) -> None:
        ticket = self._ticket(case)
        incident = self._incident(case)
        if incident is None or ticket.sn_sys_id != incident["sys_id"]:
            assert "there" in self._restored, "a ticket has no incident"
            return
        self._check_values(ticket, incident)
        self._check_notes(case, incident)
        if not self._restored:
            self._check_words(case, ticket, incident)

    def _check_values(self, ticket: Ticket, incident: dict[str, str]) -> None:
        """What differs is shown: as a conflict, or as a blocked push with its reason."""
        theirs = mapping.ticket_values(incident, self._maps())
        ours = links.values_of(ticket)
        blocked = [item for item in self._world.owed() if item.ticket_id == ticket.id]
        assert all(item.state is OutboxState.BLOCKED and item.error for item in blocked)
        differing = {name for name in COMPARED if ours[name] != theirs.get(name)}
        assert differing <= set(ticket.sn_conflicts) or blocked, (ours, theirs)

    def _maps(self) -> mapping.Maps:
        return self._world.services.servicenow.pushes._lookups.maps()

    def _check_notes(self, case: Case, incident: dict[str, str]) -> None:
        there = self._world.notes_of(incident["sys_id"])
        sent = [entry for entry in there if entry in case.notes]
        assert len(sent) == len(set(sent)), "a note was doubled"
        timeline = self._world.timeline(case.ticket_id)
        for text in {event.body for event in timeline if event.body.startswith("Reply")}:
            assert [event.body for event in timeline].count(text) == 1, "a reply was doubled"
        if not self._restored:
            assert sorted(sent) == sorted(case.notes), "a note was lost"
            bodies = {event.body for event in timeline}
            assert bodies.issuperset(case.replies), "a reply was lost"

    def _check_words(self, case: Case, ticket: Ticket, incident: dict[str, str]) -> None:
        """Words that gave way had been seen, or stand in a conflict or in the timeline."""
        if "subject" in ticket.sn_conflicts or case.ticket_id in self._chosen:
            return
        final = ticket.subject
        if incident["short_description"] != final:
            return
        for winner, loser in ((case.here, case.there), (case.there, case.here)):
            if winner.said and winner.said[-1] == final and loser.said:
                gone = loser.said[-1]
                seen = gone != winner.unseen or gone in winner.shown
                told = any(gone in event.body for event in self._world.timeline(ticket.id))
                assert seen or told, f"{gone!r} gave way to {final!r} unseen"
        spoken = {*case.here.said[-1:], *case.there.said[-1:]}
        assert not spoken or final in spoken, f"{final!r} is nobody's last word"

    def _check_silence(self) -> None:
        """People have stopped, so the writes stop."""
        before = self._writes()
        for _ in range(4):
            self._world.clock.forward(minutes=20)
            self._passed(20 * 60)
            self._world.services.servicenow.incoming.ask()
            self._world.tick()
        assert self._writes() == before, "the two sides answer each other for ever"

    def _writes(self) -> int:
        requests = self._world.instance.requests
        return sum(one["method"] in ("POST", "PATCH") for one in requests)


def _unseen(other: Side, *, by: Side) -> str:
    """The other side's last words, unless they were shown on this side before."""
    last = other.said[-1] if other.said else ""
    return "" if last in by.shown else last


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """No process of the app runs meanwhile."""
    world.stop()
    yield
    world.start()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with a_world(database_url, clock=Clock(START), instance=TimedInstance()) as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_two_sides_come_together_whatever_people_and_machines_do(
    world: World, pytestconfig: pytest.Config, part: int
) -> None:
    empty = DatabaseBackup(world.settings.database_url, "empty")
    with stopped(world):
        empty.take()

    @settings(
        max_examples=pytestconfig.getoption("--schedules") // PARTS,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        # Shrinking plays hundreds more: `--shrink` when a failure is looked into.
        phases=tuple(Phase) if pytestconfig.getoption("--shrink") else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(["accept", "ignore"]), st.lists(ACTIONS, min_size=6, max_size=20))
    def play(way: str, actions: list[tuple[Any, ...]]) -> None:
        with stopped(world):
            empty.put_back()
        schedule = Play(world, way)
        note(f"{way}: {actions}")
        for action in actions:
            world.until_killed(lambda action=action: schedule.act(*action))
        schedule.end()

    play()
