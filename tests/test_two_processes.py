"""Two processes and a person on one PostgreSQL, which is restarted; people work on both sides.

The processes are real and die by SIGKILL; the person works in this one. `--schedules` plays one
tenth of its number here.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.db import migrate
from app.db.engine import make_engine, utc_now
from app.models.servicenow import OutboxState
from app.settings import Settings
from app.simulator import Instance, RunningSimulator
from tests import pusher
from tests.conftest import servicenow_settings
from tests.people import STATES, People
from tests.postgresql import Cluster, cluster
from tests.world import World

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.slow,
    # What a restarted server cut off closes nothing.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
]
# Played side by side, each part on a cluster of its own.
PARTS = 2
PATIENCE = 60.0
STEPS = 30
RETRIES = 2
FAULTS = (
    {"kind": "fail", "status": 503},
    {"kind": "fail", "status": 502, "applied": True},
    {"kind": "drop_before"},
    {"kind": "lose_reply"},
    {"kind": "cut_json"},
    {"kind": "accepted_empty"},
)


class Workers:
    """Two worker processes; one that was killed has a successor."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._running = [pusher.start(settings, log), pusher.start(settings, log)]

    def kill_one(self) -> None:
        pusher.kill(self._running.pop(0))
        self._running.append(pusher.start(self._settings, self._log))

    def check(self) -> None:
        """None has ended by itself, and none has met what it does not know."""
        assert all(child.is_alive() for child in self._running), "a worker has ended"
        assert "Traceback" not in self._log.read_text(), "something broke in a worker"

    def stop(self) -> None:
        for child in self._running:
            pusher.kill(child)


class Trouble:
    """What happens on its own, by chance, beside what people do."""

    def __init__(self, seed: int, people: People, workers: Workers, cluster: Cluster) -> None:
        self._chance = random.Random(seed)
        self._people = people
        self._workers = workers
        self._cluster = cluster

    def step(self) -> None:
        chance, people = self._chance, self._people
        which = chance.randrange(4)
        act: Callable[[], object] = chance.choice(
            (
                people.open_ticket,
                lambda: people.create(which),
                lambda: people.create(which),
                lambda: people.subject_here(which),
                lambda: people.subject_there(which),
                lambda: people.status_here(which, chance.choice(("open", "in_progress"))),
                lambda: people.state_there(which, chance.choice(list(STATES))),
                lambda: people.note_here(which, internal=chance.random() < 0.5),
                lambda: people.note_there(which, chance.choice(("comments", "work_notes"))),
                lambda: people.sync(which),
                self._fault,
                self._workers.kill_one,
                self._restart,
            )
        )
        act()
        people.look()
        time.sleep(chance.uniform(0, 0.15))

    def _fault(self) -> None:
        method = self._chance.choice(("POST", "PATCH", "GET"))
        fault: dict[str, Any] = dict(self._chance.choice(FAULTS))
        self._people.world.instance.faults.add(method=method, path="/table/", **fault)

    def _restart(self) -> None:
        """PostgreSQL goes away and comes back; the person's own connections are new ones."""
        if self._chance.random() < 0.3:
            self._cluster.restart()
            self._people.world.engine.dispose()


def wait_for(check: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def world(
    cluster: Cluster, running_simulator: RunningSimulator, instance: Instance
) -> Iterator[World]:
    url = cluster.new_database(f"desk_{time.monotonic_ns()}")
    servicenow = replace(
        servicenow_settings(running_simulator.url),
        timeout_seconds=3,
        retry_seconds=0.2,
        settle_seconds=1,
        pull_seconds=0.2,
    )
    settings = Settings(
        servicenow=servicenow, database_url=url, secret_key="a secret key for tests only"
    )
    empty = make_engine(url)
    migrate.upgrade(empty)
    empty.dispose()
    # The processes live by the real time, which nothing moves.
    made = World(settings, instance, utc_now)  # type: ignore[arg-type]
    yield made
    made.stop()


@pytest.mark.parametrize("part", range(PARTS))
def test_two_processes_and_people_end_with_what_was_asked_for_once(
    world: World, cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config, part: int
) -> None:
    workers = Workers(world.settings, tmp_path / "log")
    try:
        for seed in range(part, pytestconfig.getoption("--schedules") // 10, PARTS):
            try:
                play(seed, world, workers, cluster)
                workers.check()
            except AssertionError as exc:
                exc.add_note(f"schedule {seed}")
                raise
    finally:
        workers.stop()


def play(seed: int, world: World, workers: Workers, cluster: Cluster) -> None:
    """One schedule on two new tickets."""
    people = People(world, name=f"schedule-{seed}")
    people.open_ticket()
    people.open_ticket()
    trouble = Trouble(seed, people, workers, cluster)
    for _ in range(STEPS):
        trouble.step()
    people.stop()
    # An admin presses Test connection: a breaker that the trouble opened stays so for minutes.
    world.services.servicenow.connection.test()
    for which in range(len(people.cases)):
        people.create(which)
    for _ in range(RETRIES):
        wait_for(lambda: not on_the_way(world))
        pulled(world)
        people.retry_blocked()
    wait_for(lambda: not on_the_way(world))
    people.check()
    # The simulator keeps the last 10,000 requests, fewer than many schedules make.
    world.instance.requests.clear()
    pulled(world)
    assert not people.writes(), "the two sides answer each other for ever"


def on_the_way(world: World) -> bool:
    """Whether a push waits for anything but a person."""
    return any(item.state is not OutboxState.BLOCKED for item in world.waiting())


def pulled(world: World) -> None:
    """Wait until all that was changed by now has been read: stamps have whole seconds."""
    since = utc_now() + timedelta(seconds=1)

    def done() -> bool:
        state = world.services.servicenow.incoming.view().state
        return state is not None and state.pulled_at is not None and state.pulled_at > since

    wait_for(done)
