"""Many pushes at once: tickets side by side, one ticket in order, four calls in flight."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection

from app.db import links, outbox
from app.db.engine import reading, writing
from app.errors import Kind
from app.integrations.servicenow.mapping import create_keys
from app.models.servicenow import OutboxItem, OutboxKind, OutboxState, PushState
from app.models.tickets import TicketStatus
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from app.wiring import make_servicenow
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def owe_create(app: FastAPI, desk: Desk) -> int:
    """A ticket whose create is owed and was not tried yet."""
    ticket = desk.ticket()
    with writing(app.state.engine) as conn:
        keys = create_keys(links.installation_id(conn), str(ticket.sn_key))
        outbox.add(
            conn,
            ticket_id=ticket.id,
            generation=ticket.sn_generation,
            kind=OutboxKind.CREATE,
            sys_id=keys.sys_id,
            correlation_id=keys.correlation_id,
            host=app.state.settings.servicenow.host,
            created_by="agent@example.com",
            now=ticket.created_at,
        )
    return ticket.id


def block(conn: Connection, item: OutboxItem) -> None:
    outbox.fail(conn, item, OutboxState.BLOCKED, error="Refused.", kind=Kind.INVALID)


def waiting(app: FastAPI, ticket_id: int) -> tuple[OutboxItem, ...]:
    with reading(app.state.engine) as conn:
        return outbox.of_ticket(conn, ticket_id)


def test_tickets_are_sent_side_by_side_and_a_slot_stays_free_for_people(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    tickets = [owe_create(app, desk) for _ in range(9)]
    instance.latency_seconds = 0.03
    tick(service)
    states = {service.push.status(ticket_id).state for ticket_id in tickets}
    assert states == {PushState.LINKED}
    assert len(instance.incidents) == 9
    assert instance.most_under_way == 3
    sessions = {request["session"] for request in instance.requests if request["session"]}
    assert len(sessions) <= 4


def test_what_one_ticket_owes_goes_out_in_order_in_one_look(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    tickets = [owe_create(app, desk) for _ in range(3)]
    tick(service)
    for ticket_id in tickets:
        for number in range(4):
            desk.note(ticket_id, f"Step {number}", internal=True)
        desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    tick(service)
    for ticket_id in tickets:
        sys_id = service.push.status(ticket_id).ticket.sn_sys_id or ""
        steps = [row["value"].splitlines()[0] for row in instance.journal(sys_id)]
        assert [step for step in steps if step.startswith("Step")] == [
            f"Step {number}" for number in range(4)
        ]
        assert instance.incidents[sys_id]["state"] == "2"


def test_claims_made_at_once_never_put_two_pushes_of_a_ticket_in_flight(
    app: FastAPI, service: ServiceNowService, desk: Desk, clock: Clock
) -> None:
    ticket_id = owe_create(app, desk)
    tick(service)
    desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    for number in range(5):
        desk.note(ticket_id, f"Step {number}", internal=True)
    ids = [item.id for item in waiting(app, ticket_id)]
    with writing(app.state.engine) as conn:
        first = outbox.claim(conn, ids[0], now=clock())
        assert first
        block(conn, first)

    def claim_or_retry(item_id: int) -> OutboxItem | None:
        with writing(app.state.engine) as conn:
            outbox.revive(conn, item_id, now=clock())
        with writing(app.state.engine) as conn:
            return outbox.claim(conn, item_id, now=clock())

    with ThreadPoolExecutor(8) as pool:
        claimed = [item for item in pool.map(claim_or_retry, ids * 3) if item]
    assert len(claimed) == 1


def test_an_item_whose_sender_died_is_looked_up_when_its_lease_is_over(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket_id = owe_create(app, desk)
    with writing(app.state.engine) as conn:
        outbox.claim(conn, waiting(app, ticket_id)[0].id, now=clock())
    tick(service)
    assert waiting(app, ticket_id)[0].state is OutboxState.SENDING

    clock.forward(seconds=76)
    tick(service)
    released = waiting(app, ticket_id)[0]
    assert released.state is OutboxState.UNCONFIRMED
    assert not instance.incidents
    # It may have sent until its lease was over: the settle time starts there.
    assert released.not_before <= clock() + timedelta(seconds=75)

    clock.forward(seconds=76)
    tick(service)
    assert service.push.status(ticket_id).state is PushState.LINKED
    assert len(instance.incidents) == 1


class Meanwhile(httpx.BaseTransport):
    """The way to the instance; something else happens once, during the first read."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._acts = [act]
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and self._acts:
            self._acts.pop()()
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("kind", OutboxKind)
def test_a_sender_that_lost_its_lease_writes_nothing(
    app: FastAPI,
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    clock: Clock,
    kind: OutboxKind,
) -> None:
    ticket_id = owe_create(app, desk)
    if kind is not OutboxKind.CREATE:
        tick(service)
    if kind is OutboxKind.UPDATE:
        desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    if kind is OutboxKind.NOTE:
        desk.note(ticket_id, "Step 1", internal=True)
        # Only a second attempt reads before it writes.
        instance.faults.rate_limit(retry_after=60)
        tick(service)
        clock.forward(seconds=60)
    (item,) = waiting(app, ticket_id)
    assert item.kind is kind

    def another_process_goes_on() -> None:
        clock.forward(seconds=76)
        service.delivery.deliver_due()

    late = make_servicenow(
        app.state.settings,
        app.state.engine,
        lambda: None,
        now=clock,
        transport=Meanwhile(another_process_goes_on),
    )
    instance.requests.clear()
    late.delivery.deliver_due()
    late.close()
    assert {request["method"] for request in instance.requests} == {"GET"}
    assert waiting(app, ticket_id)[0].state is OutboxState.UNCONFIRMED

    clock.forward(seconds=76)
    tick(service)
    assert service.push.status(ticket_id).state is PushState.LINKED
    writes = [request for request in instance.requests if request["method"] != "GET"]
    assert len(writes) == 1


def test_an_answer_after_the_lease_is_over_does_not_end_the_push_of_another(
    app: FastAPI, desk: Desk, clock: Clock
) -> None:
    ticket_id = owe_create(app, desk)
    (item,) = waiting(app, ticket_id)
    with writing(app.state.engine) as conn:
        late = outbox.claim(conn, item.id, now=clock())
        clock.forward(seconds=76)
        outbox.release_stale(conn, claimed_before=clock(), now=clock())
        assert late
        assert not outbox.finish(conn, late, now=clock())
        assert outbox.claim(conn, item.id, now=clock())
        assert not outbox.is_ours(conn, late)
        assert not outbox.finish(conn, late, now=clock())
    assert waiting(app, ticket_id)[0].state is OutboxState.SENDING


def test_a_blocked_create_holds_what_comes_after_it(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket_id = owe_create(app, desk)
    (create,) = waiting(app, ticket_id)
    with writing(app.state.engine) as conn:
        claimed = outbox.claim(conn, create.id, now=clock())
        assert claimed
        block(conn, claimed)
        outbox.add(
            conn,
            ticket_id=ticket_id,
            generation=create.generation,
            kind=OutboxKind.UPDATE,
            host=create.host,
            created_by=create.created_by,
            now=clock(),
        )
    tick(service)
    assert not instance.requests
    assert [(item.state, item.attempts) for item in waiting(app, ticket_id)] == [
        (OutboxState.BLOCKED, 1),
        (OutboxState.PENDING, 0),
    ]

    service.outbox.retry(create.id, by="agent@example.com")
    tick(service)
    assert service.push.status(ticket_id).state is PushState.LINKED
