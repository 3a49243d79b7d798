"""Stopped at every commit and every exchange of a push, the next process ends it exactly once."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from app.models.tickets import TicketStatus
from tests.world import World, a_world, check_exactly_once

pytestmark = [
    pytest.mark.slow,
    # A process that dies closes nothing.
    pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning"),
]
WAYS = {"honours our sys_id": "accept", "ignores our sys_id": "ignore"}
NOTE = "Rebooted the router"


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with a_world(database_url) as made:
        yield made


def create(world: World, ticket_id: int) -> None:
    world.create(ticket_id)


def update(world: World, ticket_id: int) -> None:
    world.change(ticket_id, TicketStatus.RESOLVED)
    world.tick()


def note(world: World, ticket_id: int) -> None:
    world.note(ticket_id, NOTE, internal=True)
    world.tick()


Push = Callable[[World, int], None]


def stop_at_each_step(world: World, push: Push, *, linked: bool) -> Iterator[tuple[str, int]]:
    """(where it died, ticket) for every step of the push, each with a ticket of its own."""
    for step in count():
        ticket_id = world.open_ticket()
        if linked:
            world.create(ticket_id)
        world.fuse.burn_at(step)
        where = world.until_killed(partial(push, world, ticket_id))
        if not where:
            return
        world.come_to_rest()
        yield where, ticket_id


@pytest.mark.parametrize("way", WAYS)
def test_a_create_stopped_anywhere_ends_with_one_incident(world: World, way: str) -> None:
    world.instance.honour_client_sys_id = WAYS[way]
    died = []
    for where, ticket_id in stop_at_each_step(world, create, linked=False):
        died.append(where)
        if not world.status(ticket_id).linked:
            world.create(ticket_id)
        check_exactly_once(world, ticket_id, notes=[])
    assert {"before", "during", "after"} <= {where.split()[0] for where in died if "POST" in where}


@pytest.mark.parametrize("journal", ["readable", "silently empty", "closed"])
def test_a_note_stopped_anywhere_arrives_once(world: World, journal: str) -> None:
    world.instance.journal_readable = journal == "readable"
    if journal == "closed":
        world.instance.closed_tables.add("sys_journal_field")
    for _, ticket_id in stop_at_each_step(world, note, linked=True):
        written = [event for event in world.timeline(ticket_id) if event.body == NOTE]
        check_exactly_once(world, ticket_id, notes=[("work_notes", NOTE)] * len(written))


def test_an_update_stopped_anywhere_arrives(world: World) -> None:
    for _, ticket_id in stop_at_each_step(world, update, linked=True):
        check_exactly_once(world, ticket_id, notes=[])


def test_a_status_taken_back_is_not_overtaken_by_its_late_write(world: World) -> None:
    ticket_id = world.open_ticket()
    world.create(ticket_id)
    world.instance.faults.add("late_commit", method="PATCH", seconds=70)
    world.change(ticket_id, TicketStatus.IN_PROGRESS)
    world.tick()
    world.change(ticket_id, TicketStatus.OPEN)
    world.clock.forward(seconds=61)
    world.tick()
    world.come_to_rest()
    check_exactly_once(world, ticket_id, notes=[])


def test_a_late_note_is_not_sent_again_after_a_look_that_failed(world: World) -> None:
    ticket_id = world.open_ticket()
    world.create(ticket_id)
    world.instance.faults.add("late_commit", method="PATCH", seconds=70)
    world.instance.faults.add("unauthorized", method="GET", path="journal")
    world.note(ticket_id, NOTE, internal=True)
    world.tick()
    world.clock.forward(seconds=61)
    world.tick()
    world.come_to_rest()
    check_exactly_once(world, ticket_id, notes=[("work_notes", NOTE)])


@pytest.mark.parametrize("loss", ["lose_reply", "late_commit"])
def test_our_own_lost_update_coming_back_is_no_conflict(world: World, loss: str) -> None:
    ticket_id = world.open_ticket()
    world.create(ticket_id)
    options: dict[str, Any] = {"seconds": 70} if loss == "late_commit" else {}
    world.instance.faults.add(loss, method="PATCH", **options)
    world.change(ticket_id, TicketStatus.IN_PROGRESS)
    world.tick()
    world.change(ticket_id, TicketStatus.PENDING)
    world.come_to_rest()
    check_exactly_once(world, ticket_id, notes=[])


def test_what_changed_while_a_create_was_lost_is_sent_after_it(world: World) -> None:
    ticket_id = world.open_ticket()
    world.instance.faults.add("late_commit", method="POST", seconds=30)
    world.create(ticket_id)
    world.change(ticket_id, TicketStatus.IN_PROGRESS)
    world.services.tickets.change(ticket_id, {"subject": "It smokes"}, by=world.user)
    world.come_to_rest()
    check_exactly_once(world, ticket_id, notes=[])
    (incident,) = world.incidents_of(ticket_id)
    assert incident["short_description"] == "It smokes"
