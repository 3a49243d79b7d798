"""Pulling incidents, into the mirror or as tickets: complete, once each, with reasons."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.engine import writing
from app.db.tables import tickets as tickets_table
from app.errors import Conflict, Invalid
from app.integrations.servicenow.bulk import SMALLEST_PAGE
from app.models.sync_runs import RunState, SyncRun
from app.models.tickets import TicketStatus
from app.models.views import TicketFilter
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from app.simulator.base import sys_id_of
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import find, soup

pytestmark = pytest.mark.usefixtures("small_pages")


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def pull(service: ServiceNowService, **wanted: object) -> SyncRun:
    options = {"limit": 1000, "import_tickets": True} | wanted
    run = service.imports.start(by="admin@example.com", **options)  # type: ignore[arg-type]
    service.imports.run_due()
    return service.imports.get(run.id)


def counts(run: SyncRun) -> tuple[int, int, int, int, int]:
    return run.created, run.updated, run.unchanged, run.skipped, run.failed


def many(instance: Instance, count: int) -> list[str]:
    return [
        instance.add_incident(
            number=f"INC{number:07}",
            short_description=f"Trouble {number}",
            sys_updated_on=f"2026-01-01 {number // 60:02}:{number % 60:02}:00",
        )["sys_id"]
        for number in range(count)
    ]


def numbers_here(desk: Desk) -> list[str]:
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5000)
    return sorted(ticket.sn_number or "" for ticket in found)


def test_an_import_makes_one_ticket_per_incident(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    many(instance, 450)
    run = pull(service)
    assert run.state is RunState.DONE
    assert counts(run) == (450, 0, 0, 0, 0)
    assert (run.fetched, run.total) == (450, 450)
    assert numbers_here(desk) == [f"INC{number:07}" for number in range(450)]
    assert counts(pull(service)) == (0, 0, 450, 0, 0)


def test_an_imported_ticket_has_what_the_incident_has(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    instance.add_incident(
        number="INC1",
        short_description="Mail is down",
        description="Since nine",
        impact="1",
        urgency="1",
        state="8",
        category="software",
        caller_id=sys_id_of("sys_user", "abel.tuter"),
        assigned_to=sys_id_of("sys_user", "fred.luddy"),
        opened_at="2026-01-05 10:00:00",
    )
    pull(service)
    (ticket,) = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5)[0]
    assert (ticket.subject, ticket.description) == ("Mail is down", "Since nine")
    assert (ticket.priority, ticket.category, ticket.status) == ("urgent", "software", "closed")
    assert ticket.resolution_code == "Canceled"
    assert ticket.requester_email == "abel.tuter@example.com"
    assert ticket.assignee == "fred.luddy@example.com"
    assert ticket.created_at.isoformat() == "2026-01-05T10:00:00+00:00"


def test_a_changed_incident_refreshes_its_ticket_unless_that_was_changed_here(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    first, second = many(instance, 2)
    pull(service)
    tickets, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5)
    by_sys_id = {ticket.sn_sys_id: ticket.id for ticket in tickets}
    desk.services.tickets.change(by_sys_id[second], {"subject": "Mine"}, by=desk.user)
    for sys_id in (first, second):
        instance.incidents[sys_id] |= {"short_description": "Theirs", "sys_mod_count": "9"}
    run = pull(service)
    assert counts(run) == (0, 1, 0, 1, 0)
    assert "Changed on both sides: subject" in run.reasons
    subjects = {
        sys_id: desk.services.tickets.get(ticket_id, desk.user).subject
        for sys_id, ticket_id in by_sys_id.items()
    }
    assert subjects == {first: "Theirs", second: "Mine"}


def test_a_pull_from_a_clone_leaves_the_tickets_of_the_other_host_alone(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    (sys_id,) = many(instance, 1)
    pull(service)
    with writing(app.state.engine) as conn:
        conn.execute(update(tickets_table).values(sn_host="prod.service-now.com"))
    before = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5)
    instance.incidents[sys_id] |= {"short_description": "Of the clone", "sys_mod_count": "9"}
    for dry_run in (True, False):
        run = pull(service, dry_run=dry_run)
        assert counts(run) == (0, 0, 0, 1, 0)
        assert run.reasons == {"Its ticket is linked to prod.service-now.com": 1}
    assert desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5) == before
    assert service.incidents.incident(sys_id).row.ticket_id is None


def test_what_a_pull_wrote_is_not_pushed_back(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    (sys_id,) = many(instance, 1)
    pull(service)
    instance.incidents[sys_id] |= {"state": "2", "sys_mod_count": "9"}
    pull(service)
    (ticket,) = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5)[0]
    assert ticket.status is TicketStatus.IN_PROGRESS
    assert service.waiting_count() == 0


def test_our_own_incident_is_not_imported_as_a_second_ticket(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    run = pull(service)
    assert run.created == 0
    assert len(numbers_here(desk)) == 1


def test_an_unconfirmed_create_is_not_imported_either(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.faults.add("lose_reply", method="POST")
    instance.faults.add("fail", method="GET", path="/incident", times=9)
    service.push.create_from_ticket(ticket.id, by="agent@example.com")
    instance.faults.clear()
    run = pull(service)
    assert counts(run) == (0, 0, 0, 1, 0)
    assert run.reasons == {"The incident is being created from a ticket of this installation": 1}


def test_an_incident_whose_link_was_undone_is_imported(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    number = service.push.create_from_ticket(ticket.id, by="agent@example.com").ticket.sn_number
    service.linking.unlink(ticket.id, "Wrong one", by="agent@example.com")
    assert counts(pull(service, dry_run=True)) == (1, 0, 0, 0, 0)
    assert counts(pull(service)) == (1, 0, 0, 0, 0)
    assert numbers_here(desk) == ["", number]
    assert counts(pull(service)) == (0, 0, 1, 0, 0)


def test_an_unknown_state_is_skipped_with_its_reason(
    service: ServiceNowService, instance: Instance
) -> None:
    many(instance, 2)
    instance.add_incident(number="INC9", state="-100")
    run = pull(service)
    assert counts(run) == (2, 0, 0, 1, 0)
    assert run.reasons["State -100 is not mapped to a status"] == 1


def test_the_limit_takes_the_newest(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    many(instance, 300)
    run = pull(service, limit=250)
    assert run.created == 250
    assert numbers_here(desk)[0] == "INC0000050"


def test_the_limit_takes_the_newest_though_the_row_at_the_edge_is_hidden(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ids = many(instance, 300)
    instance.hidden_rows = set(ids[50:60])
    pull(service, limit=250)
    assert numbers_here(desk)[0] == "INC0000060"
    assert len(numbers_here(desk)) == 240


def test_query_and_state_narrow_a_pull(service: ServiceNowService, instance: Instance) -> None:
    instance.add_incident(number="INC1", category="network", state="2")
    instance.add_incident(number="INC2", category="network", state="1")
    instance.add_incident(number="INC3", category="software", state="2")
    assert pull(service, query="category=network", state="In Progress").created == 1


def test_pages_that_access_rules_emptied_are_not_the_end(
    service: ServiceNowService, instance: Instance
) -> None:
    ids = sorted(many(instance, 650))
    instance.hidden_rows = set(ids[:430])
    run = pull(service)
    assert run.state is RunState.DONE
    assert run.created == 220


def test_an_incident_that_cannot_be_read_is_counted_and_does_not_stop_the_rest(
    service: ServiceNowService, instance: Instance
) -> None:
    many(instance, 3)
    next(iter(instance.incidents.values()))["sys_updated_on"] = "yesterday"
    assert counts(pull(service)) == (2, 0, 0, 0, 1)


def test_a_pull_without_import_fills_the_mirror_only(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    many(instance, 5)
    assert counts(pull(service, import_tickets=False)) == (5, 0, 0, 0, 0)
    assert numbers_here(desk) == []
    assert service.incidents.list().total == 5


def test_a_run_goes_on_after_a_restart_where_it_was(
    app: FastAPI, service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    many(instance, 450)
    run = service.imports.start(by="a@example.com", limit=1000, import_tickets=True)
    looks = iter([False, False, True])
    service.imports.run_due(stopping=lambda: next(looks))
    assert 0 < service.imports.get(run.id).fetched < 450
    service.recover()
    service.imports.run_due()
    ended = service.imports.get(run.id)
    assert (ended.state, ended.created) == (RunState.DONE, 450)
    assert len(set(numbers_here(desk))) == 450


def test_a_failed_run_says_why_and_keeps_what_was_read(
    service: ServiceNowService, instance: Instance
) -> None:
    many(instance, 450)
    run = service.imports.start(by="a@example.com", limit=1000, import_tickets=True)
    looks = iter([False, True])
    service.imports.run_due(stopping=lambda: next(looks))
    instance.accounts.password = "changed"
    service.recover()
    service.imports.run_due()
    ended = service.imports.get(run.id)
    assert ended.state is RunState.FAILED
    assert "rejected the sign-in" in (ended.error or "")
    assert ended.created == 2 * SMALLEST_PAGE


def test_the_same_pull_is_joined_and_another_refused(
    service: ServiceNowService, instance: Instance
) -> None:
    first = service.imports.start(by="a@example.com", limit=10)
    assert service.imports.start(by="b@example.com", limit=10).id == first.id
    with pytest.raises(Conflict):
        service.imports.start(by="b@example.com", limit=20)


@pytest.mark.parametrize("wanted", [{"limit": 0}, {"limit": 100_001}, {"state": "nosuch"}])
def test_bad_wishes_are_refused_before_anything_starts(
    service: ServiceNowService, wanted: dict[str, object]
) -> None:
    with pytest.raises(Invalid):
        pull(service, **wanted)
    with pytest.raises(Invalid):
        pull(service, query="nonsense")


def test_the_card_shows_progress_and_then_the_result(
    admin: TestClient, service: ServiceNowService, instance: Instance
) -> None:
    many(instance, 450)
    form = {"limit": "1000", "import_tickets": "true"}
    card = find(soup(admin.post("/servicenow/pulls", data=form, headers=HTMX).text), "section")
    assert card.select_one("progress")
    looks = iter([False, False, True])
    service.imports.run_due(stopping=lambda: next(looks))
    card = find(soup(admin.get(card["hx-get"], headers=HTMX).text), "section")
    assert "of 450" in card.get_text()
    assert int(find(card, "progress")["value"]) in range(1, 100)
    assert admin.get("/servicenow").text.count('http-equiv="refresh"') == 1

    service.recover()
    service.imports.run_due()
    card = find(soup(admin.get(card["hx-get"], headers=HTMX).text), "section")
    assert "hx-get" not in card.attrs
    assert "Import of 450 incidents" in card.get_text(" ", strip=True)


def test_a_script_waits_for_a_short_pull(
    api: TestClient, service: ServiceNowService, instance: Instance
) -> None:
    many(instance, 5)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(api.post, "/api/sn/sync/pull", json={"import": True})
        while not asked.done():
            service.imports.run_due()
    response = asked.result()
    body = response.json()
    assert (response.status_code, body["state"], body["created"]) == (200, "done", 5)
    assert response.headers["Location"] == f"/api/sn/sync/runs/{body['id']}"
    assert api.get(response.headers["Location"]).json() == body
    assert api.get("/api/sn/sync/runs/999").status_code == 404
    assert api.post("/api/sn/sync/pull", json={"limit": 0}).status_code == 422
