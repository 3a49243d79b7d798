"""Our clock is set forward and back: nothing waits longer than usual for that."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.db import clock_repair as db_clock
from app.db import outbox as db_outbox
from app.db.engine import UtcDateTime, writing
from app.db.tables import incoming, metadata, outbox, trained_models
from app.errors import HeldBack
from app.integrations.servicenow.rate_limiter import RateLimiter
from app.models.servicenow import OutboxState
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.simulator import Instance
from app.wiring import make_servicenow
from tests.conftest import SAME_ORIGIN, Clock
from tests.desk import Desk
from tests.ticking import tick

JUMPS = [timedelta(hours=1), timedelta(days=1), timedelta(days=400)]
ENDINGS = ("_until", "due_at", "not_before", "claimed_at", "swept_at", "lease_until")


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    tick(found)
    return found


def linked(service: ServiceNowService, ticket_id: int) -> bool:
    return service.push.status(ticket_id).linked


@pytest.mark.parametrize("jump", JUMPS)
def test_a_retry_comes_at_its_usual_time(
    service: ServiceNowService, desk: Desk, instance: Instance, clock: Clock, jump: timedelta
) -> None:
    ticket = desk.ticket()
    clock.moment += jump
    tick(service)
    for _ in range(6):
        instance.faults.fail_next(status=503)
        instance.faults.add("drop_before", method="GET")
    service.push.create_from_ticket(ticket.id, by=desk.user.email)
    assert not linked(service, ticket.id)
    clock.moment -= jump
    instance.faults.clear()
    tick(service)
    clock.forward(minutes=2)
    tick(service)
    assert linked(service, ticket.id)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_dead_sender_is_noticed_after_its_usual_lease(
    service: ServiceNowService, desk: Desk, engine: Engine, clock: Clock, jump: timedelta
) -> None:
    ticket = desk.ticket()
    assert service.push.create_from_ticket(ticket.id, by=desk.user.email).linked
    clock.moment += jump
    note = desk.note(ticket.id, "Found it", internal=True, push=True)
    with writing(engine) as conn:
        item = db_outbox.find_note(conn, note.id)
        assert item
        conn.execute(
            update(outbox)
            .where(outbox.c.id == item.id)
            .values(state=OutboxState.SENDING, claimed_at=clock(), settled_at=None)
        )
    tick(service)
    clock.moment -= jump
    tick(service)
    clock.forward(seconds=80)
    tick(service)
    with writing(engine) as conn:
        assert db_outbox.get(conn, item.id).state is not OutboxState.SENDING


@pytest.mark.parametrize("jump", JUMPS)
def test_a_scheduled_pull_and_its_sweep_come_at_their_usual_time(
    settings: Settings, engine: Engine, instance: Instance, clock: Clock, jump: timedelta
) -> None:
    sn = replace(settings.servicenow, pull_seconds=60)
    service = make_servicenow(replace(settings, servicenow=sn), engine, lambda: None, now=clock)
    instance.add_incident()
    tick(service)
    clock.moment += jump
    tick(service)
    clock.moment -= jump
    tick(service)
    clock.forward(seconds=61)
    instance.requests.clear()
    tick(service)
    assert instance.requests
    state = service.incoming.view().state
    assert state.swept_at
    assert state.swept_at <= clock()
    service.close()


def test_a_connection_rests_no_longer_than_usual(
    service: ServiceNowService, instance: Instance, clock: Clock
) -> None:
    clock.forward(days=30)
    for _ in range(6):
        instance.faults.add("fail", times=None, status=503)
        service.connection.test()
    assert service.connection.rest()
    tick(service)
    clock.moment -= timedelta(days=30)
    tick(service)
    assert service.connection.rest() is None


def test_after_a_restart_no_wait_is_longer_than_the_longest(
    settings: Settings, engine: Engine, clock: Clock, instance: Instance
) -> None:
    with writing(engine) as conn:
        far = clock() + timedelta(days=300)
        conn.execute(incoming.insert().values(host=settings.servicenow.host, due_at=far))
        conn.execute(
            trained_models.insert().values(state="running", asked_at=far, lease_until=far, slot=1)
        )
    service = make_servicenow(settings, engine, lambda: None, now=clock)
    tick(service)
    with writing(engine) as conn:
        row = conn.execute(trained_models.select()).mappings().one()
    assert row["asked_at"] == clock()
    assert row["lease_until"] == clock() + timedelta(minutes=30)
    assert service.incoming.view().state.pulled_at or instance.requests
    service.close()


def test_a_wait_that_may_be_is_kept_over_a_restart(
    settings: Settings, engine: Engine, clock: Clock
) -> None:
    soon = clock() + timedelta(hours=2)
    with writing(engine) as conn:
        conn.execute(incoming.insert().values(host=settings.servicenow.host, due_at=soon))
    service = make_servicenow(settings, engine, lambda: None, now=clock)
    tick(service)
    clock.forward(minutes=5)
    tick(service)
    assert service.incoming.view().state.due_at == soon
    service.close()


def test_a_locked_account_is_open_again(
    app: FastAPI, service: ServiceNowService, clock: Clock
) -> None:
    browser = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    wrong = {"email": "nobody@example.com", "password": "wrong"}
    clock.forward(days=30)
    tick(service)
    answers = [browser.post("/login", data=wrong).status_code for _ in range(12)]
    assert 429 in answers
    clock.moment -= timedelta(days=30)
    tick(service)
    assert browser.post("/login", data=wrong).status_code != 429


def test_the_pace_does_not_wait_for_a_time_that_is_far_ahead(clock: Clock) -> None:
    pace = RateLimiter(clock)
    pace.learn(httpx.Response(429, headers={"Retry-After": "60"}))
    with pytest.raises(HeldBack):
        pace.hold_back(under_way=1)
    clock.moment -= timedelta(hours=2)
    pace.hold_back(under_way=1)


def test_every_time_that_something_waits_for_is_known() -> None:
    known = {*db_clock.WAITS, *db_clock.HAPPENED, *db_clock.LEASES}
    # Chosen by people, or ends a right: the clock decides there.
    people = {"sync_runs.updated_until"}
    missing = [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, UtcDateTime)
        and column.name.endswith(ENDINGS)
        and column not in known
    ]
    assert set(missing) == people
