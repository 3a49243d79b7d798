"""A rate rule of the instance: the background waits in time, people's clicks still go."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from app.errors import HeldBack, Kind
from app.integrations.servicenow.rate_limiter import RateLimiter
from app.integrations.servicenow_client import ServiceNowClient
from app.models.servicenow import OutboxState
from app.models.tickets import TicketStatus
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.simulator import Instance
from app.wiring import make_client
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick

HOUR = 3600


@pytest.fixture
def client(settings: Settings, clock: Clock) -> Iterator[ServiceNowClient]:
    made = make_client(settings.servicenow, now=clock)
    assert made
    yield made
    made.close()


def begin_hour(instance: Instance, client: ServiceNowClient, clock: Clock, *, limit: int) -> None:
    """A new window of the instance, of which one call is used."""
    instance.rate_limit, instance.rate_window_seconds = limit, 0
    with client.click():
        client.whoami()
    instance.rate_window_seconds = HOUR
    clock.forward(seconds=2)


def calls_until_held(client: ServiceNowClient) -> tuple[int, HeldBack]:
    for gone in range(200):
        try:
            client.whoami()
        except HeldBack as exc:
            return gone, exc
    raise AssertionError("nothing was held back")


@pytest.mark.parametrize(("limit", "goes"), [(10, 7), (100, 90), (2, 1)])
def test_the_background_leaves_the_last_calls_to_people(
    client: ServiceNowClient, instance: Instance, clock: Clock, limit: int, goes: int
) -> None:
    begin_hour(instance, client, clock, limit=limit)
    called = len(instance.requests)
    gone, held = calls_until_held(client)
    assert gone == goes == len(instance.requests) - called
    assert held.kind is Kind.RATE
    assert held.retry_after == pytest.approx(HOUR, abs=5)

    for _ in range(limit - goes - 1):
        with client.click():
            client.whoami()
    with client.click(own_slot=False), pytest.raises(HeldBack):
        client.whoami()

    clock.forward(seconds=HOUR + 1)
    begin_hour(instance, client, clock, limit=limit)
    assert calls_until_held(client)[0] == goes


def test_after_a_refusal_only_clicks_go_until_its_time_has_passed(
    client: ServiceNowClient, instance: Instance, clock: Clock
) -> None:
    instance.faults.rate_limit(retry_after=600)
    with client.click(), pytest.raises(Exception, match="rate limit is reached"):
        client.whoami()
    gone, held = calls_until_held(client)
    assert (gone, held.retry_after) == (0, 600)
    with client.click():
        client.whoami()
    clock.forward(seconds=590)  # A wait of less than 8 seconds would be waited.
    assert calls_until_held(client)[0] == 0
    clock.forward(seconds=10)
    client.whoami()


def test_pushes_that_are_held_back_keep_their_place_and_all_arrive(
    app: FastAPI, instance: Instance, desk: Desk, clock: Clock
) -> None:
    service: ServiceNowService = app.state.services.servicenow
    owed = [desk.ticket().id for _ in range(8)]
    for ticket_id in owed:
        service.push.create_from_ticket(ticket_id, by="agent@example.com")
        desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    instance.rate_limit, instance.rate_window_seconds = 10, 0
    service.connection.test()
    instance.rate_window_seconds = HOUR
    called = len(instance.requests)
    tick(service)
    assert 0 < len(instance.requests) - called <= 7
    items = [item for one in owed for item in service.push.status(one).items]
    waiting = [item for item in items if item.state is OutboxState.PENDING]
    assert waiting
    assert {(item.attempts, item.error) for item in waiting} == {(0, None)}

    clicked = service.outbox.retry(waiting[0].id, by="agent@example.com")
    assert not [item for item in clicked.items if item.state is OutboxState.PENDING]

    clock.forward(seconds=HOUR + 1)
    instance.rate_limit = None
    tick(service)
    assert [one["state"] for one in instance.incidents.values()] == ["2"] * len(owed)


@pytest.mark.parametrize(
    ("limit", "reset", "wait"),
    [("1", "9" * 12, HOUR), ("1", "²", 0), ("many", "1790000000", 0), ("1", "1", 0), ("1", "", 0)],
)
def test_headers_that_make_no_sense_hold_nothing_back_for_long(
    clock: Clock, limit: str, reset: str, wait: int
) -> None:
    pace = RateLimiter(clock)
    names = {"X-RateLimit-Limit": limit, "X-RateLimit-Reset": reset, "X-RateLimit-Rule": "7a"}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in names.items()]
    pace.learn(httpx.Response(200, headers=headers))
    if not wait:
        pace.hold_back(under_way=1)
        return
    with pytest.raises(HeldBack) as caught:
        pace.hold_back(under_way=2)
    assert caught.value.retry_after == wait
