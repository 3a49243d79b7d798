"""Random schedules with people on both sides, restored backups and clocks that jump.

After each, when the trouble is over: no incident and no note is there twice, none is missing that
a restored backup did not take away, what differs is a visible conflict or a blocked push, nobody's
words were replaced unseen, and nothing is written any more once people have stopped.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from app.models.servicenow import OutboxState
from app.simulator import Instance
from tests.backups import DatabaseBackup, InstanceBackup
from tests.conftest import Clock
from tests.people import STATES, Case, People
from tests.test_schedules import FAULTS
from tests.world import World, a_world

pytestmark = [
    pytest.mark.slow,
    # A process that dies closes nothing.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
]
# Played side by side.
PARTS = 4
IMPACT_URGENCY = (("1", "1"), ("2", "2"), ("3", "2"))
HOUR = 3600
# Long ago, so that no schedule comes near the real time, which answers carry as their Date.
START = datetime(2024, 1, 1, tzinfo=UTC)
BODIES: tuple[dict[str, Any], ...] = (
    {"kind": "drip", "pause": 1.0},
    {"kind": "endless"},
    {"kind": "gzip_bomb", "megabytes": 20},
    {"kind": "deep_json"},
)
which = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(
        st.just("fault"),
        st.sampled_from((*FAULTS, *BODIES)),
        st.sampled_from(["POST", "PATCH", "GET"]),
        st.integers(1, 2),
    ),
    st.tuples(st.just("subject here"), which),
    st.tuples(st.just("subject there"), which),
    st.tuples(
        st.just("subject meanwhile"),
        which,
        st.sampled_from([{"kind": "edit_before"}, {"kind": "lose_reply"}, {"kind": "drop_before"}]),
    ),
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
    st.tuples(st.just("open ticket")),
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


class Play:
    """One schedule on the app, its database, its clock and its instance."""

    def __init__(self, world: World, way: str, audit: bool) -> None:
        world.instance.reset()
        world.instance.honour_client_sys_id = way
        world.instance.audit_readable = audit
        self._world = world
        self._people = People(world)
        self._people.open_ticket()
        self._people.open_ticket()
        self._backups: dict[str, DatabaseBackup | InstanceBackup] = {
            "here": DatabaseBackup(world.settings.database_url, "backup"),
            "there": InstanceBackup(world.instance),
        }
        self._known: dict[str, list[Case]] = {}

    def act(self, name: str, *args: Any) -> None:
        """A verb of the machines, else of the people."""
        verb = name.replace(" ", "_")
        (getattr(self, verb, None) or getattr(self._people, verb))(*args)
        self._people.look()

    def fault(self, fault: dict[str, Any], method: str, times: int) -> None:
        self._world.instance.faults.add(method=method, times=times, path="/table/", **fault)

    def tick(self) -> None:
        self._world.tick()

    def wait(self, seconds: int) -> None:
        self._world.wait(seconds)
        self._passed(seconds)
        self._world.tick()

    def jump(self, seconds: int) -> None:
        """Our clock is put forward or back. A write on its way arrives first: how long one may
        take is measured by this clock.
        """
        self._world.arrive()
        self._passed(90)
        self._world.clock.forward(seconds=seconds)

    def restart(self) -> None:
        with stopped(self._world):
            pass

    def die_in(self, steps: int) -> None:
        self._world.fuse.burn_at(steps)

    def arrive(self) -> None:
        self._world.arrive()

    def back_up(self, side: str) -> None:
        with stopped(self._world) if side == "here" else nullcontext():
            self._backups[side].take()
        self._known[side] = list(self._people.cases)

    def restore(self, side: str) -> None:
        if side not in self._known:
            return
        people = self._people
        people.restored.add(side)
        self._world.under_way.clear()
        with stopped(self._world) if side == "here" else nullcontext():
            self._backups[side].put_back()
        if side == "here":
            people.lost += [case for case in people.cases if case not in self._known[side]]
            people.cases = list(self._known[side])

    def end(self) -> None:
        """The trouble is over, every ticket gets its incident, and people stop."""
        self._come_to_rest()
        for which in range(len(self._people.cases)):
            self._people.create(which)
        self._come_to_rest()
        self._people.check()
        before = self._people.writes()
        self._hours(4)
        assert self._people.writes() == before, "the two sides answer each other for ever"

    def _come_to_rest(self) -> None:
        world = self._world
        world.fuse.burn_at(None)
        world.tick()
        world.wait(20)
        world.arrive()
        self._people.stop()
        for _ in range(3):
            self._hours(8)
            if all(item.state is OutboxState.BLOCKED for item in world.waiting()):
                return

    def _hours(self, count: int) -> None:
        for _ in range(count):
            self._world.clock.forward(hours=1)
            self._passed(3600)
            self._world.services.servicenow.incoming.ask()
            self._world.tick()
            self._people.retry_blocked()

    def _passed(self, seconds: float) -> None:
        """Time passes on the instance."""
        assert isinstance(self._world.instance, TimedInstance)
        self._world.instance.clock.forward(seconds=seconds)


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """No process of the app runs meanwhile."""
    world.stop()
    yield
    world.start()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with a_world(
        database_url, clock=Clock(START), instance=TimedInstance(), timeout_seconds=2
    ) as made:
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
        # The same ones each time in CI, where a failure is to speak of the change.
        derandomize=bool(os.environ.get("CI")),
        print_blob=True,
        report_multiple_bugs=False,
        # Shrinking plays hundreds more: `--shrink` when a failure is looked into.
        phases=tuple(Phase) if pytestconfig.getoption("--shrink") else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(["accept", "ignore"]),
        st.booleans(),
        st.lists(ACTIONS, min_size=6, max_size=20),
    )
    def play(way: str, audit: bool, actions: list[tuple[Any, ...]]) -> None:
        with stopped(world):
            empty.put_back()
        schedule = Play(world, way, audit)
        note(f"{way}, audit {audit}: {actions}")
        for action in actions:
            world.until_killed(partial(schedule.act, *action))
        schedule.end()

    play()
