"""A database that was restored from a backup, or copied, doubles nothing and mixes nothing up."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db import links
from app.db.engine import reading
from app.db.tables import spent_keys
from app.models.servicenow import PushState, Restore
from app.models.servicenow_pages import HistoryFilter
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from tests.backups import put_rows_back, rows_of
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup
from tests.ticking import tick

STATE_AND_NEXT = ("State", "Next attempt")
BY = "desk@example.com"


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


@pytest.fixture
def lost(app: FastAPI, service: ServiceNowService, desk: Desk) -> str:
    """The number of an incident whose ticket is gone: it was opened after the backup."""
    before = rows_of(app.state.engine)
    made = service.push.create_from_ticket(desk.ticket(subject="bravo").id, by=BY)
    put_rows_back(app.state.engine, before)
    return str(made.ticket.sn_number)


def pull(service: ServiceNowService) -> None:
    service.incoming.ask()
    tick(service)


def import_all(service: ServiceNowService, *, dry_run: bool = False) -> None:
    service.imports.start(import_tickets=True, dry_run=dry_run, by=BY)
    tick(service)


def start(service: ServiceNowService) -> None:
    service.held_creates.begin()
    service.held_creates.check_at_start()


def restore_of(service: ServiceNowService) -> Restore:
    """The restore that was found."""
    found = service.held_creates.find()
    assert found is not None
    return found


LOOKS: dict[str, Callable[[ServiceNowService], object]] = {
    "a pull": pull,
    "an import": import_all,
    "a dry run": lambda service: import_all(service, dry_run=True),
    "the start": start,
    "the connection test": lambda service: service.connection_test.test_now(seconds=5),
}


def test_a_ticket_that_gets_a_number_again_gets_an_incident_of_its_own(
    service: ServiceNowService, desk: Desk, instance: Instance, lost: str
) -> None:
    charlie = desk.ticket(subject="charlie")
    assert charlie.id == 1, "the number that bravo had"
    made = service.push.create_from_ticket(charlie.id, by=BY)
    assert made.state is PushState.LINKED
    subjects = {one["number"]: one["short_description"] for one in instance.incidents.values()}
    assert subjects == {lost: "bravo", str(made.ticket.sn_number): "charlie"}


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_noticed_and_creates_are_held(
    service: ServiceNowService, desk: Desk, instance: Instance, lost: str, look: str
) -> None:
    LOOKS[look](service)
    restore = service.connection.view().restore
    assert restore is not None
    assert (restore.number, restore.held) == (lost, True)
    ticket = desk.ticket(subject="charlie")
    status = service.push.create_from_ticket(ticket.id, by=BY)
    tick(service)
    assert status.state is service.push.status(ticket.id).state is PushState.HELD
    assert len(instance.incidents) == 1


def test_the_first_create_after_a_start_waits_for_the_look(
    service: ServiceNowService, desk: Desk, instance: Instance, lost: str
) -> None:
    service.held_creates.begin()
    ticket = desk.ticket(subject="charlie")
    assert service.push.create_from_ticket(ticket.id, by=BY).state is PushState.HELD
    assert len(instance.incidents) == 1


def test_an_instance_that_is_away_at_the_start_is_asked_before_the_first_create(
    service: ServiceNowService, desk: Desk, instance: Instance, clock: Clock, lost: str
) -> None:
    instance.faults.hibernate()
    service.held_creates.begin()
    service.held_creates.check_at_start()
    ticket = desk.ticket(subject="charlie")
    assert service.push.create_from_ticket(ticket.id, by=BY).state is PushState.OWED
    instance.faults.clear()
    clock.forward(minutes=10)
    tick(service)
    assert service.push.status(ticket.id).state is PushState.HELD
    assert len(instance.incidents) == 1


@pytest.mark.parametrize("way", ["accept", "ignore"])
def test_after_the_release_a_ticket_finds_the_incident_it_has(
    app: FastAPI, service: ServiceNowService, desk: Desk, instance: Instance, way: str
) -> None:
    instance.honour_client_sys_id = way
    ticket = desk.ticket(subject="alpha")
    before = rows_of(app.state.engine)
    made = service.push.create_from_ticket(ticket.id, by=BY)
    put_rows_back(app.state.engine, before)
    pull(service)
    assert service.push.create_from_ticket(ticket.id, by=BY).state is PushState.HELD
    service.held_creates.release(by=BY)
    tick(service)
    after = service.push.status(ticket.id)
    assert (after.state, after.ticket.sn_number) == (PushState.LINKED, made.ticket.sn_number)
    assert len(instance.incidents) == 1


def test_a_create_that_waited_in_the_backup_and_was_sent_since_is_a_sign(
    app: FastAPI, service: ServiceNowService, desk: Desk
) -> None:
    ticket = desk.ticket()
    service.outbox.pause("A backup is made", by=BY)
    service.push.create_from_ticket(ticket.id, by=BY)
    before = rows_of(app.state.engine)
    service.outbox.resume()
    tick(service)
    assert service.push.status(ticket.id).state is PushState.LINKED
    service.held_creates.check()
    assert service.held_creates.find() is None
    put_rows_back(app.state.engine, before)
    service.held_creates.check()
    assert service.push.status(ticket.id).state is PushState.HELD


def test_a_held_create_is_not_even_tried(service: ServiceNowService, desk: Desk, lost: str) -> None:
    service.held_creates.check()
    ticket = desk.ticket(subject="charlie")
    service.push.create_from_ticket(ticket.id, by=BY)
    tick(service)
    (item,) = service.push.status(ticket.id).items
    assert item.attempts == 0
    assert service.history.page(HistoryFilter(ticket=ticket.id)).total == 0


def test_two_copies_of_one_database_notice_each_other(
    app: FastAPI, service: ServiceNowService, desk: Desk, instance: Instance
) -> None:
    shared = desk.ticket(subject="In both")
    copied = rows_of(app.state.engine)
    here = service.push.create_from_ticket(shared.id, by=BY)
    first = rows_of(app.state.engine)
    put_rows_back(app.state.engine, copied)
    there = service.push.create_from_ticket(desk.ticket(subject="Of the copy").id, by=BY)
    service.held_creates.check()
    assert restore_of(service).number == here.ticket.sn_number
    put_rows_back(app.state.engine, first)
    assert service.held_creates.find() is None
    service.held_creates.check()
    assert restore_of(service).number == there.ticket.sn_number
    held = service.push.create_from_ticket(desk.ticket(subject="A new one").id, by=BY)
    assert (held.state, len(instance.incidents)) == (PushState.HELD, 2)


def test_a_note_that_was_sent_after_the_backup_is_not_sent_again(
    app: FastAPI, service: ServiceNowService, desk: Desk, instance: Instance, clock: Clock
) -> None:
    ticket = desk.ticket()
    sys_id = service.push.create_from_ticket(ticket.id, by=BY).ticket.sn_sys_id
    desk.note(ticket.id, "Rebooted the router", internal=True)
    before = rows_of(app.state.engine)
    tick(service)
    service.push.create_from_ticket(desk.ticket(subject="bravo").id, by=BY)
    put_rows_back(app.state.engine, before)
    service.held_creates.check()
    tick(service)
    notes = [row["value"] for row in instance.journal(str(sys_id))]
    assert sum("Rebooted the router" in note for note in notes) == 1
    assert not service.push.status(ticket.id).items


def test_a_note_that_waited_in_the_backup_is_looked_for_though_nothing_else_tells_of_it(
    app: FastAPI, service: ServiceNowService, desk: Desk, instance: Instance
) -> None:
    """The restored database knows every incident: nothing shows that it was restored."""
    ticket = desk.ticket()
    sys_id = service.push.create_from_ticket(ticket.id, by=BY).ticket.sn_sys_id
    desk.note(ticket.id, "Rebooted the router", internal=True)
    before = rows_of(app.state.engine)
    tick(service)
    put_rows_back(app.state.engine, before)
    start(service)
    assert service.held_creates.find() is None
    tick(service)
    notes = [row["value"] for row in instance.journal(str(sys_id))]
    assert sum("Rebooted the router" in note for note in notes) == 1
    assert not service.push.status(ticket.id).items


def test_a_note_from_after_the_backup_is_not_taken_for_another(
    app: FastAPI, service: ServiceNowService, desk: Desk
) -> None:
    ticket = desk.ticket()
    service.push.create_from_ticket(ticket.id, by=BY)
    before = rows_of(app.state.engine)
    desk.note(ticket.id, "Forgotten", internal=True)
    tick(service)
    put_rows_back(app.state.engine, before)
    written = desk.note(ticket.id, "Kept for later", internal=True, push=False)
    pull(service)
    bodies = [event.body for event in desk.services.tickets.detail(ticket.id, desk.user).events]
    assert sum("Forgotten" in body for body in bodies) == 1
    kept = next(event for event in desk.notes(ticket.id) if event.id == written.id)
    assert kept.pushed_at is None


# -- as people and scripts see it ----------------------------------------------------------------


def test_the_json_answers_held_until_an_admin_releases(
    api: TestClient, service: ServiceNowService, desk: Desk, instance: Instance, lost: str
) -> None:
    service.held_creates.check()
    ticket = desk.ticket(subject="charlie")
    answer = api.post(f"/api/sn/incidents/create-from-ticket/{ticket.id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "held")
    assert "restored from a backup" in answer.json()["error"]
    released = api.post("/api/sn/creates/release")
    assert released.json()["restored"]["held"] is False
    assert api.post("/api/sn/creates/release").status_code == 409
    tick(service)
    again = api.post(f"/api/sn/incidents/create-from-ticket/{ticket.id}")
    assert (again.status_code, again.json()["state"]) == (200, "linked")
    assert len(instance.incidents) == 2


def test_the_pages_say_so_and_the_release_is_written_down(
    admin: TestClient, agent: TestClient, service: ServiceNowService, desk: Desk, lost: str
) -> None:
    service.held_creates.check()
    ticket = desk.ticket(subject="charlie")
    card = soup(agent.post(f"/servicenow/tickets/{ticket.id}/incident", headers=HTMX).text)
    assert find(card, "header .badge").text == "Held"
    assert "Ask an administrator." in find(card, ".held").text
    page = find(soup(agent.get("/servicenow").text), "#restore-card")
    assert lost in page.text
    assert page.select("form") == []
    form = find(soup(admin.get("/servicenow").text), "#restore-card form")
    released = admin.post(form["action"], headers=HTMX)
    assert "New incidents are released." in released.headers["HX-Trigger"]
    answer = soup(released.text)
    assert answer.select_one("form") is None
    assert find(answer, "[title='admin@example.com']").get_text() == "admin"
    row = find(soup(admin.get("/servicenow/history").text), "#history-table tbody tr")
    assert "New incidents released" in row.text
    assert find(row, "[title='admin@example.com']").get_text() == "admin"
    assert find(row, "[data-label=Action]").text == "Release new incidents"


def test_a_held_create_is_called_held_wherever_it_is_shown(
    agent: TestClient, admin: TestClient, service: ServiceNowService, desk: Desk, lost: str
) -> None:
    service.held_creates.check()
    ticket = desk.ticket(subject="charlie")
    address = f"/servicenow/tickets/{ticket.id}/incident"
    assert "New incidents are held." in find(soup(agent.get(address).text), "#preview .held").text
    created = agent.post(address, headers=HTMX)
    assert (
        "Waiting to be sent to ServiceNow. New incidents are held" in created.headers["HX-Trigger"]
    )

    def shown(page: str) -> tuple[str, ...]:
        row = find(soup(agent.get(page).text), f"tr:has(a[href='/tickets/{ticket.id}'])")
        return tuple(find(row, f"[data-label='{part}']").text for part in STATE_AND_NEXT)

    for page in ("/servicenow", "/servicenow/outbox"):
        assert shown(page) == ("Held", "When new incidents are released")
    service.held_creates.release(by="admin@example.com")
    for page in ("/servicenow", "/servicenow/outbox"):
        assert shown(page)[0] == "Pending"
    assert soup(agent.get(address).text).select_one("#preview .held") is None


# -- what is no news, and what is ------------------------------------------------------------------


def foreign_create(app: FastAPI, instance: Instance, key: str, *, opened_at: str) -> None:
    """An incident that another copy of this database created."""
    with reading(app.state.engine) as conn:
        installation = links.installation_id(conn)
    instance.add_incident(
        correlation_id=f"sic-{installation}-{key}",
        correlation_display="Smart IT Copilot",
        opened_at=opened_at,
    )


def test_incidents_from_before_the_release_are_no_news_and_later_ones_are(
    app: FastAPI, service: ServiceNowService, instance: Instance, clock: Clock, lost: str
) -> None:
    service.held_creates.check()
    clock.forward(days=300)
    service.held_creates.release(by=BY)
    clock.forward(minutes=1)
    foreign_create(app, instance, "a" * 32, opened_at="2026-11-25 08:00:00")
    service.held_creates.check()
    assert not restore_of(service).held
    clock.forward(days=300)
    foreign_create(app, instance, "b" * 32, opened_at="2028-05-01 08:00:00")
    service.held_creates.check()
    assert restore_of(service).held


def test_incidents_of_other_installations_are_none_of_our_business(
    service: ServiceNowService, instance: Instance
) -> None:
    key = "c" * 32
    for correlation_id in (f"sic-00000000-0000-4000-8000-000000000000-{key}", key, "JIRA-1"):
        instance.add_incident(correlation_id=correlation_id)
    import_all(service)
    service.connection_test.test_now(seconds=5)
    assert service.held_creates.find() is None


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_healthy_installation_raises_no_alarm(
    app: FastAPI,
    service: ServiceNowService,
    desk: Desk,
    instance: Instance,
    clock: Clock,
    count: int,
) -> None:
    """Pushed, found after a lost answer, unlinked, pushed again, linked, imported and undone."""
    instance.honour_client_sys_id = "ignore"
    ticket_ids = [desk.ticket(subject=f"Ticket {number}").id for number in range(count)]
    half, quarter = count // 2, count // 4
    for number, ticket_id in enumerate(ticket_ids):
        if number % 10 == 0:
            instance.faults.lose_next_reply()
        service.push.create_from_ticket(ticket_id, by=BY)
    clock.forward(minutes=5)
    tick(service)
    numbers = [str(service.push.status(one).ticket.sn_number) for one in ticket_ids]
    for ticket_id in ticket_ids[:half]:
        service.linking.unlink(ticket_id, "A wrong one", by=BY)
    for ticket_id in ticket_ids[:quarter]:
        service.push.create_from_ticket(ticket_id, by=BY)
    for free, other in ((quarter, quarter + 2), (quarter + 1, quarter + 3)):
        service.linking.link(ticket_ids[free], numbers[other], by=BY)
    for _ in range(10):
        instance.add_incident(caller_id=desk.their_user("abel.tuter@example.com"))
    clock.forward(minutes=5)
    import_all(service)
    run = service.incidents.overview().pull.run
    assert run is not None
    # The incidents of nobody, and those whose link was undone, but for two that were linked again.
    assert service.imports.undo(run.id, by=BY).removed == 10 + half - 2
    for look in LOOKS.values():
        look(service)
    assert len(instance.incidents) == count + quarter + 10
    assert service.held_creates.find() is None
    with reading(app.state.engine) as conn:
        assert len(conn.execute(select(spent_keys)).all()) == half
