"""Pushes that were held go by themselves when the cause is gone, and old ones ask first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, text, update

from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.db.tables import outbox
from app.errors import Kind
from app.models.servicenow import OutboxState, PushState
from app.models.tickets import TicketStatus
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from tests.conftest import Clock
from tests.desk import Desk
from tests.test_killed_process import eventually
from tests.ticking import tick

BY = "desk@example.com"


@pytest.fixture
def service(desk: Desk) -> ServiceNowService:
    found: ServiceNowService = desk.services.servicenow
    return found


def push(desk: Desk, count: int) -> list[int]:
    made = [desk.ticket(subject=f"Ticket {number}").id for number in range(count)]
    for ticket_id in made:
        desk.services.servicenow.push.create_from_ticket(ticket_id, by=BY)
    return made


def states(service: ServiceNowService, ticket_ids: Sequence[int]) -> list[str]:
    return [service.push.status(ticket_id).state for ticket_id in ticket_ids]


@pytest.mark.slow
def test_when_a_write_right_is_back_the_next_good_write_lets_ten_go_and_then_the_rest(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    instance.rules.write_denied = True
    held = push(desk, 12)
    clock.forward(hours=1)
    tick(service)
    assert states(service, held) == ["blocked"] * 12
    instance.rules.write_denied = False
    clock.forward(hours=1)
    tick(service)
    assert states(service, held) == ["blocked"] * 12
    (good,) = push(desk, 1)
    assert states(service, [good, *held]) == ["linked"] + ["owed"] * 10 + ["blocked"] * 2
    tick(service)
    assert states(service, held) == ["linked"] * 12


def test_a_held_update_is_merged_anew_before_it_goes(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    (held,) = push(desk, 1)
    sys_id = service.push.status(held).ticket.sn_sys_id or ""
    instance.rules.write_denied = True
    desk.set_status(held, TicketStatus.IN_PROGRESS)
    tick(service)
    assert states(service, [held]) == ["blocked"]
    instance.rules.write_denied = False
    instance.edit(sys_id, short_description="Theirs", state="3")
    push(desk, 1)
    tick(service)
    ticket = service.push.status(held).ticket
    assert (ticket.subject, instance.incidents[sys_id]["state"]) == ("Theirs", "3")
    assert [one.name for one in service.conflicts.of(held).conflicts] == ["status"]


def test_a_right_that_is_missing_for_one_record_is_tried_again_once(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    (held,) = push(desk, 1)
    sys_id = service.push.status(held).ticket.sn_sys_id or ""
    instance.locked_rows = {sys_id}
    desk.set_status(held, TicketStatus.IN_PROGRESS)
    for _ in range(4):
        clock.forward(hours=5)
        push(desk, 1)
        tick(service)
    (item,) = service.push.status(held).items
    assert (item.state, item.attempts) == (OutboxState.BLOCKED, 2)
    instance.locked_rows = set()
    desk.set_status(held, TicketStatus.PENDING)
    tick(service)
    assert instance.incidents[sys_id]["state"] == "3"


def test_what_needs_no_write_does_not_show_that_a_write_right_is_back(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    (well,) = push(desk, 1)
    instance.rules.write_denied = True
    (held,) = push(desk, 1)
    service.push.sync(well, by=BY)
    service.connection.test()
    clock.forward(hours=2)
    tick(service)
    (item,) = service.push.status(held).items
    assert (service.push.status(well).state, item.attempts) == (PushState.LINKED, 1)


def test_after_a_new_password_and_a_restart_everything_goes_by_itself(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    instance.faults.add("unauthorized", times=None)
    held = push(desk, 12)
    for _ in range(9):
        clock.forward(hours=5)
        tick(service)
    assert service.connection.rest()
    assert not instance.incidents
    instance.faults.clear()
    service.connection.try_again()
    tick(service)
    assert states(service, held) == ["linked"] * 12


def test_the_worker_tries_a_failing_connection_when_it_starts(
    service: ServiceNowService, instance: Instance, desk: Desk, app: FastAPI
) -> None:
    instance.faults.add("unauthorized", times=None)
    held = push(desk, 5)
    assert service.connection.rest()
    instance.faults.clear()
    with TestClient(app):
        # An update is blocked until the worker has tried, and blocked is settled, too.
        eventually(lambda: states(service, held) == ["linked"] * 5)


def test_a_start_asks_nothing_of_an_instance_that_was_well(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    push(desk, 1)
    before = len(instance.requests)
    service.connection.try_again()
    assert len(instance.requests) == before


OUTAGES = [
    pytest.param({"kind": "drop_before"}, id="unreachable", marks=pytest.mark.slow),
    pytest.param({"kind": "fail", "status": 503}, id="maintenance"),
    pytest.param({"kind": "offline_page"}, id="offline", marks=pytest.mark.slow),
    pytest.param({"kind": "login_redirect"}, id="single sign-on"),
]


@pytest.mark.parametrize("fault", OUTAGES)
def test_an_outage_that_ends_lets_go_what_it_postponed_for_hours(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    clock: Clock,
    fault: dict[str, Any],
) -> None:
    instance.faults.add(times=None, **fault)
    held = push(desk, 2)
    for _ in range(9):
        clock.forward(hours=5)
        tick(service)
    instance.faults.clear()
    clock.forward(minutes=16)
    service.incoming.ask()
    service.incoming.run_due()
    tick(service)
    assert states(service, held) == ["linked"] * 2


@pytest.mark.slow
def test_what_fails_while_others_get_through_is_not_tried_with_each_of_them(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    (held,) = push(desk, 1)
    sys_id = service.push.status(held).ticket.sn_sys_id or ""
    instance.faults.add("drop_before", path=sys_id, times=None)
    desk.set_status(held, TicketStatus.IN_PROGRESS)
    for _ in range(20):
        push(desk, 1)
        tick(service)
        clock.forward(seconds=1)
    (item,) = service.push.status(held).items
    assert item.attempts <= 2


@pytest.mark.parametrize("cause", ["right", "sign-in"])
def test_what_is_older_than_30_days_waits_for_a_person(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock, cause: str
) -> None:
    instance.rules.write_denied = cause == "right"
    if cause == "sign-in":
        instance.faults.add("unauthorized", times=None)
    (held,) = push(desk, 1)
    clock.forward(days=29)
    (younger,) = push(desk, 1)
    clock.forward(days=2)
    instance.rules.write_denied = False
    instance.faults.clear()
    push(desk, 1)
    tick(service)
    assert states(service, [held, younger]) == ["blocked", "linked"]
    (item,) = service.push.status(held).items
    assert item.error_kind == (Kind.PERMISSION if cause == "right" else Kind.OLD)
    assert service.outbox.retry(item.id, by=BY).state is PushState.LINKED


def test_an_old_push_whose_ticket_was_changed_lately_is_not_old(
    service: ServiceNowService, instance: Instance, desk: Desk, clock: Clock
) -> None:
    (held,) = push(desk, 1)
    sys_id = service.push.status(held).ticket.sn_sys_id or ""
    instance.faults.add("unauthorized", times=None)
    desk.set_status(held, TicketStatus.PENDING)
    tick(service)
    clock.forward(days=29)
    desk.set_status(held, TicketStatus.IN_PROGRESS)
    clock.forward(days=2)
    instance.faults.clear()
    tick(service)
    assert instance.incidents[sys_id]["state"] == "2"


def test_what_belongs_to_another_instance_goes_when_that_is_connected_again(
    service: ServiceNowService, instance: Instance, desk: Desk, engine: Engine
) -> None:
    instance.rules.write_denied = True
    (held,) = push(desk, 1)
    with reading(engine) as conn:
        host = conn.execute(select(outbox.c.host)).scalar_one()
    (item,) = service.push.status(held).items
    with writing(engine) as conn:
        conn.execute(update(outbox).values(host="old.example.com"))
    service.outbox.retry(item.id, by=BY)
    (item,) = service.push.status(held).items
    assert (item.state, item.error_kind) == (OutboxState.BLOCKED, Kind.OTHER_INSTANCE)
    instance.rules.write_denied = False
    push(desk, 1)
    tick(service)
    assert states(service, [held]) == ["blocked"]
    with writing(engine) as conn:
        conn.execute(update(outbox).values(host=host))
    push(desk, 1)
    tick(service)
    assert states(service, [held]) == ["linked"]


@pytest.mark.parametrize("way", ["create", "link"])
def test_notes_to_be_sent_before_there_is_a_link_go_after_linking(
    service: ServiceNowService, instance: Instance, desk: Desk, way: str
) -> None:
    ticket = desk.ticket()
    desk.note(ticket.id, "Sent", internal=True, push=True)
    desk.note(ticket.id, "Sent to the caller", internal=False, push=True)
    desk.note(ticket.id, "Stays", internal=True, push=False)
    desk.note(ticket.id, "Not asked", internal=True)
    if way == "create":
        service.push.create_from_ticket(ticket.id, by=BY)
    else:
        made = instance.add_incident(short_description=ticket.subject)
        service.linking.link(ticket.id, made["number"], by=BY)
    tick(service)
    sys_id = service.push.status(ticket.id).ticket.sn_sys_id or ""
    notes = [(row["element"], row["value"].split("\n")[0]) for row in instance.journal(sys_id)]
    ours = [note for note in notes if not note[1].startswith("Copilot")]
    assert ours == [("work_notes", "Sent"), ("comments", "Sent to the caller")]
    assert service.push.status(ticket.id).state is PushState.LINKED


def test_causes_of_existing_pushes_are_told_apart_from_then_on(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(engine, "0029")
    errors = {
        "The resolution code “x” is not one of the instance's. Choose one of them.": "close_code",
        "This belongs to a.example, and the app is now connected to b.example.": "other_instance",
        "ServiceNow cannot use this request (HTTP 400).": "invalid",
    }
    ticket = (
        "INSERT INTO tickets (id, subject, description, requester_email, status, created_at,"
        " updated_at) VALUES (1, 'Old', '', 'a@example.com', 'open', '2026-01-01', '2026-01-01')"
    )
    item = (
        "INSERT INTO outbox (ticket_id, generation, kind, state, host, not_before, created_at,"
        " created_by, error, error_kind) VALUES (1, 1, 'update', 'blocked', 'a.example',"
        " '2026-01-01', '2026-01-01', 'a@example.com', :error, 'invalid')"
    )
    with writing(engine) as conn:
        conn.execute(text(ticket))
        for error in errors:
            conn.execute(text(item), {"error": error})
    migrate.upgrade(engine)
    with reading(engine) as conn:
        found = conn.execute(text("SELECT error, error_kind FROM outbox")).all()
    assert dict(map(tuple, found)) == errors
