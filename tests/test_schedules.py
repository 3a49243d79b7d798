"""Random schedules of faults, clicks, edits and deaths: all end with what was asked for, once."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from app.db.engine import writing
from app.db.tables import outbox
from app.models.servicenow import OutboxState
from app.models.tickets import TicketStatus
from tests.world import JOURNAL, World, a_world, check_exactly_once, check_in_step

pytestmark = [
    pytest.mark.slow,
    # A process that dies closes nothing.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
]
# Played side by side.
PARTS = 4
STATUSES = ("open", "in_progress", "pending", "resolved")
# Applied or not, answered or not: each meets the next requests of its kind.
FAULTS: tuple[dict[str, Any], ...] = (
    *({"kind": "fail", "status": status} for status in (500, 502, 503, 504)),
    *({"kind": "fail", "status": status, "applied": True} for status in (500, 502, 503, 504)),
    {"kind": "drop_before"},
    {"kind": "lose_reply"},
    {"kind": "late_commit", "seconds": 40},
    {"kind": "late_commit", "seconds": 70},
    {"kind": "hibernate"},
    {"kind": "rate_limit", "retry_after": 30},
    {"kind": "semaphore_full"},
    {"kind": "unauthorized"},
    {"kind": "cut_json"},
    {"kind": "result_and_error"},
    {"kind": "accepted_empty"},
    {"kind": "login_redirect"},
)
which = st.integers(0, 1)
LOSSES = tuple(fault for fault in FAULTS if fault.get("applied") or "seconds" in fault)
CHANGE = st.tuples(st.just("status"), which, st.sampled_from(STATUSES))
TICK = st.tuples(st.just("tick"))
ACTIONS = st.one_of(
    st.tuples(
        st.just("fault"),
        st.sampled_from(FAULTS),
        st.sampled_from(["POST", "PATCH", "GET"]),
        st.integers(1, 2),
    ),
    # Twice as often what does harm: a write that arrives and is not answered, and a change after.
    st.tuples(
        st.just("fault"), st.sampled_from(LOSSES), st.sampled_from(["POST", "PATCH"]), st.just(1)
    ),
    CHANGE,
    TICK,
    st.tuples(st.just("create"), which),
    CHANGE,
    st.tuples(st.just("note"), which, st.booleans()),
    st.tuples(st.just("sync"), which),
    st.tuples(st.just("retry")),
    TICK,
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 61, 76, 600])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("die in"), st.integers(0, 40)),
    st.tuples(st.just("arrive")),
)
INSTANCES = st.tuples(
    st.sampled_from(["accept", "ignore"]),
    st.sampled_from(["readable", "silently empty", "closed"]),
)


class Play:
    """One schedule on two new tickets: what is done, and what was asked for."""

    def __init__(self, world: World, way: str, journal: str) -> None:
        self._world = world
        self._numbers = count()
        self._clean()
        instance = world.instance
        instance.honour_client_sys_id = way
        instance.journal_readable = journal == "readable"
        if journal == "closed":
            instance.closed_tables.add("sys_journal_field")
        self._tickets = [world.open_ticket() for _ in range(2)]

    def _clean(self) -> None:
        """What a schedule that failed left behind must not spoil the next."""
        self._world.under_way.clear()
        self._world.instance.reset()
        with writing(self._world.engine) as conn:
            conn.execute(update(outbox).values(state=OutboxState.DISCARDED))

    def act(self, name: str, *args: Any) -> None:
        world = self._world
        if name == "fault":
            (fault, method, times) = args
            world.instance.faults.add(method=method, times=times, path="/table/", **fault)
        elif name == "wait":
            world.wait(args[0])
            world.tick()
        elif name == "die in":
            world.fuse.burn_at(args[0])
        elif name == "restart":
            world.stop()
            world.start()
        elif name == "arrive":
            world.arrive()
        elif name == "tick":
            world.tick()
        elif name == "retry":
            for item in world.waiting():
                world.services.servicenow.outbox.retry(item.id, by=world.user.email)
        else:
            self._ask(name, self._tickets[args[0]], *args[1:])

    def _ask(self, name: str, ticket_id: int, *args: Any) -> None:
        world = self._world
        if name == "create":
            world.create(ticket_id)
        elif name == "status":
            world.change(ticket_id, TicketStatus(args[0]))
        elif name == "note":
            text = f"Note {next(self._numbers)}"
            world.note(ticket_id, text, internal=args[0])
        else:
            world.sync(ticket_id)

    def end(self) -> None:
        """Every ticket gets its incident, if it was not asked for before, and its notes."""
        world = self._world
        world.come_to_rest()
        for ticket_id in self._tickets:
            if world.status(ticket_id).linked:
                check_in_step(world, ticket_id)
            world.create(ticket_id)
            world.sync(ticket_id)
        world.come_to_rest()
        assert len(world.instance.incidents) == len(self._tickets)
        for ticket_id in self._tickets:
            notes = [
                (JOURNAL[event.internal], event.body)
                for event in world.timeline(ticket_id)
                if event.push is not None
            ]
            check_exactly_once(world, ticket_id, notes)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with a_world(database_url) as made:
        yield made


@pytest.mark.parametrize("part", range(PARTS))
def test_every_schedule_ends_with_what_was_asked_for_once(
    world: World, pytestconfig: pytest.Config, part: int
) -> None:
    @settings(
        max_examples=pytestconfig.getoption("--schedules") // PARTS,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(INSTANCES, st.lists(ACTIONS, min_size=4, max_size=16))
    def play(instance: tuple[str, str], actions: list[tuple[Any, ...]]) -> None:
        schedule = Play(world, *instance)
        for action in actions:
            world.until_killed(partial(schedule.act, *action))
        schedule.end()

    play()
