"""Imports an admin can look at first, stop, read as a report, and take back."""

import csv
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.errors import Conflict, Invalid
from app.integrations.servicenow.bulk import SMALLEST_PAGE
from app.models.sync_runs import RunState, SyncRun
from app.models.tickets import TicketStatus
from app.models.views import TicketFilter
from app.services.servicenow import ServiceNowService
from app.services.servicenow.pull import import_report, import_undo
from app.simulator import Instance
from app.simulator.base import sys_id_of
from tests.conftest import HTMX, Clock, SignIn
from tests.desk import Desk
from tests.html import find, soup

CALLER = sys_id_of("sys_user", "abel.tuter")


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


@pytest.fixture
def mixed(instance: Instance) -> Instance:
    """Ten usual incidents, one of an unknown state, one without a caller."""
    for number in range(10):
        instance.add_incident(number=f"INC{number}", caller_id=CALLER, short_description="Mail")
    instance.add_incident(number="INC-odd", state="-100", caller_id=CALLER)
    instance.add_incident(number="=INC-nobody")
    return instance


def pull(service: ServiceNowService, **wanted: object) -> SyncRun:
    options = {"limit": 1000, "import_tickets": True} | wanted
    run = service.imports.start(by="admin@example.com", **options)  # type: ignore[arg-type]
    service.imports.run_due()
    return service.imports.get(run.id)


def counts(run: SyncRun) -> dict[str, int]:
    return {
        "created": run.created,
        "updated": run.updated,
        "unchanged": run.unchanged,
        "skipped": run.skipped,
        "failed": run.failed,
    }


def tickets_here(desk: Desk) -> int:
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=500)
    return len(found)


def test_a_dry_run_writes_nothing_and_counts_as_the_import_does(
    service: ServiceNowService, mixed: Instance, desk: Desk
) -> None:
    dry = pull(service, dry_run=True)
    assert counts(dry) == {"created": 11, "updated": 0, "unchanged": 0, "skipped": 1, "failed": 0}
    assert tickets_here(desk) == 0
    assert service.incidents.list().total == 0
    real = pull(service)
    assert (counts(real), real.reasons) == (counts(dry), dry.reasons)
    assert tickets_here(desk) == 11


def test_a_second_dry_run_tells_refreshed_from_kept(
    service: ServiceNowService, mixed: Instance, desk: Desk
) -> None:
    pull(service)
    first, second, *_ = [r for r in mixed.incidents.values() if r["number"].startswith("INC")]
    for record in (first, second):
        record |= {"short_description": "Changed there", "sys_mod_count": "9"}
    (ticket,) = [
        one
        for one in desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=50)[0]
        if one.sn_sys_id == second["sys_id"]
    ]
    desk.services.tickets.change(ticket.id, {"subject": "Changed here"}, by=desk.user)
    dry = pull(service, dry_run=True)
    assert (dry.updated, dry.skipped, dry.unchanged) == (1, 2, 9)
    assert desk.services.tickets.get(ticket.id, desk.user).subject == "Changed here"


def test_samples_show_what_needs_a_look_first(service: ServiceNowService, mixed: Instance) -> None:
    samples = service.imports.view(pull(service, dry_run=True)).samples
    assert {samples[0].number, samples[1].number} == {"INC-odd", "=INC-nobody"}
    assert len(samples) == 12


def test_the_card_of_an_import_shows_how_far_the_search_has_come(
    service: ServiceNowService, mixed: Instance, desk: Desk, admin: TestClient
) -> None:
    run = pull(service)
    shown = soup(admin.get(f"/servicenow/pulls/{run.id}").text)
    assert shown.select("noscript meta[http-equiv=refresh]")
    part = shown.select_one("#pull-indexing")
    assert part is not None
    assert f"{run.created} imported tickets" in part.get_text()
    bar = find(part, "progress")
    assert bar is not None
    assert (bar["max"], bar["value"]) == (str(run.created), "0")
    path = str(part["hx-get"])
    desk.services.knowledge.index_missing()
    done = soup(admin.get(path, headers=HTMX).text).select_one("#pull-indexing")
    assert done is not None
    assert not done.get_text(strip=True)
    assert "hx-get" not in done.attrs
    assert admin.get(path).headers["location"] == f"/servicenow/pulls/{run.id}"
    assert not soup(admin.get(f"/servicenow/pulls/{run.id}").text).select("noscript meta")


def test_a_report_lists_every_row_and_defuses_formulas(
    service: ServiceNowService, mixed: Instance, api: TestClient
) -> None:
    run = pull(service)
    response = api.get(f"/api/sn/sync/runs/{run.id}/report.csv")
    assert response.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(response.text.splitlines()))
    assert len(rows) == 12
    by_number = {row["number"]: row for row in rows}
    assert by_number["INC-odd"]["reason"] == "State -100 is not mapped to a status"
    assert by_number["INC3"]["outcome"] == "created"
    assert by_number["INC3"]["ticket_id"]
    assert "'=INC-nobody" in by_number


def test_an_import_is_undone_but_for_what_somebody_touched(
    service: ServiceNowService, mixed: Instance, desk: Desk, api: TestClient
) -> None:
    run = pull(service)
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=50)
    desk.note(found[0].id, "I work on this", internal=True)
    desk.set_status(found[1].id, TicketStatus.IN_PROGRESS)
    path = f"/api/sn/sync/runs/{run.id}/undo"
    undone = {"run_id": run.id, "removed": 9, "kept": 2, "kept_touched": 2, "kept_pushed": 0}
    assert api.post(path).json() == undone
    assert tickets_here(desk) == 2
    assert api.post(path).status_code == 409
    report = api.get(f"/api/sn/sync/runs/{run.id}/report.csv").text
    made = [row for row in csv.DictReader(report.splitlines()) if row["outcome"] == "created"]
    kept = [row["ticket_id"] for row in made if row["ticket_id"]]
    assert sorted(kept) == sorted(str(one.id) for one in found[:2])
    assert sum("undone" in row["reason"] for row in made) == 9
    assert pull(service).created == 9


def test_the_next_ticket_has_nothing_of_one_that_an_undo_deleted(
    service: ServiceNowService, mixed: Instance, desk: Desk, admin: TestClient, clock: Clock
) -> None:
    run = pull(service)
    incident = next(iter(mixed.incidents.values()))
    clock.forward(minutes=5)
    mixed.edit(incident["sys_id"], by="beth.anglin", short_description="Canary of theirs")
    service.incoming.ask()
    service.incoming.run_due()
    assert "Canary of theirs" in admin.get("/servicenow/history").text
    assert service.imports.undo(run.id, by="admin@example.com").removed == 11
    for _ in range(11):
        ticket = desk.ticket()
        assert "Canary" not in admin.get(f"/servicenow/history?ticket={ticket.id}").text


def test_a_long_undo_goes_on_in_the_worker(
    service: ServiceNowService,
    mixed: Instance,
    desk: Desk,
    api: TestClient,
    admin: TestClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = pull(service)
    monkeypatch.setattr(import_report, "CHUNK", 4)
    monkeypatch.setattr(import_undo, "CLICK_SECONDS", 0)
    answer = api.post(f"/api/sn/sync/runs/{run.id}/undo")
    assert (answer.status_code, answer.json()["removed"]) == (202, 0)
    assert answer.headers["Location"] == f"/api/sn/sync/runs/{run.id}"
    card = find(soup(admin.post(f"/servicenow/pulls/{run.id}/undo", headers=HTMX).text), "section")
    assert "0 tickets deleted so far" in card.get_text()
    assert card["hx-get"] == f"/servicenow/pulls/{run.id}"

    looks = iter([False, True])
    assert service.imports.undo_due(stopping=lambda: next(looks))
    assert 0 < tickets_here(desk) < 11, "stopped in the middle"
    assert service.imports.undo_due()
    assert not service.imports.undo_due()
    assert tickets_here(desk) == 0
    done = service.imports.get(run.id)
    assert (done.removed, done.kept_touched, done.undoing) == (11, 0, False)
    card = find(soup(admin.get(f"/servicenow/pulls/{run.id}", headers=HTMX).text), "section")
    assert "11 tickets deleted" in card.get_text()
    assert "hx-get" not in card.attrs


def test_an_import_has_a_page_and_is_undone_there_when_others_came_after_it(
    service: ServiceNowService, mixed: Instance, desk: Desk, admin: TestClient, agent: TestClient
) -> None:
    run = pull(service)
    pull(service, dry_run=True)
    where = f"/servicenow/pulls/{run.id}"
    history = soup(admin.get("/servicenow/history").text)
    assert where in [link["href"] for link in history.select("#history-table a")]
    assert where not in agent.get("/servicenow/history").text

    page = soup(admin.get(where).text)
    form = find(page, f"form[action='{where}/undo']")
    answer = admin.post(form["action"])
    assert (answer.status_code, answer.headers["Location"]) == (303, where)
    assert "11 tickets deleted" in find(soup(admin.get(where).text), "#pull-undone").get_text()
    assert tickets_here(desk) == 0


def test_a_ticket_whose_link_was_undone_counts_as_kept(
    service: ServiceNowService, mixed: Instance, desk: Desk
) -> None:
    run = pull(service)
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=50)
    service.linking.unlink(found[0].id, "Wrong one", by="agent@example.com")
    undone = service.imports.undo(run.id, by="admin@example.com")
    assert (undone.removed, undone.kept_touched) == (10, 1)
    assert tickets_here(desk) == 1


def test_a_dry_run_cannot_be_undone(service: ServiceNowService, mixed: Instance) -> None:
    with pytest.raises(Conflict):
        service.imports.undo(pull(service, dry_run=True).id, by="admin@example.com")


@pytest.mark.usefixtures("small_pages")
def test_cancel_stops_within_the_page_and_keeps_what_was_stored(
    service: ServiceNowService, instance: Instance, desk: Desk, api: TestClient
) -> None:
    for number in range(450):
        instance.add_incident(number=f"INC{number:04}", caller_id=CALLER)
    run = service.imports.start(by="a@example.com", limit=1000, import_tickets=True)
    looks = iter(range(9))

    def cancel_after_the_first_page() -> bool:
        if next(looks) == 0:
            assert api.post(f"/api/sn/sync/runs/{run.id}/cancel").json()["state"] == "cancelled"
        return False

    service.imports.run_due(stopping=cancel_after_the_first_page)
    ended = service.imports.get(run.id)
    assert (ended.state, ended.created) == (RunState.CANCELLED, SMALLEST_PAGE)
    assert tickets_here(desk) == SMALLEST_PAGE
    assert api.post(f"/api/sn/sync/runs/{run.id}/cancel").status_code == 409
    assert pull(service).unchanged == SMALLEST_PAGE


def test_states_and_dates_narrow_a_pull(service: ServiceNowService, instance: Instance) -> None:
    for day, state in (("01", "1"), ("02", "2"), ("03", "3"), ("04", "1")):
        instance.add_incident(
            number=f"INC{day}", state=state, sys_updated_on=f"2026-01-{day} 10:00:00"
        )
    both = {
        "updated_from": datetime(2026, 1, 2, tzinfo=UTC),
        "updated_until": datetime(2026, 1, 3, 10, 0, tzinfo=UTC),
    }
    assert pull(service, **both).created == 2
    assert pull(service, state="New, On Hold").created == 2
    with pytest.raises(Invalid):
        pull(service, updated_from=both["updated_until"], updated_until=both["updated_from"])


def test_the_card_leads_from_the_dry_run_to_the_import_and_back(
    admin: TestClient, service: ServiceNowService, mixed: Instance, desk: Desk
) -> None:
    form = {
        "limit": "50",
        "state": ["1", "2"],
        "import_tickets": "true",
        "dry_run": "true",
        "updated_from": "2026-01-01",
    }
    card = find(soup(admin.post("/servicenow/pulls", data=form, headers=HTMX).text), "section")
    assert "Checking incidents" in card.get_text()
    service.imports.run_due()
    card = find(soup(admin.get(str(card["hx-get"]), headers=HTMX).text), "section")
    assert "Nothing was saved" in card.get_text()
    assert "Would be created" in card.get_text()
    assert len(card.select("#pull-samples tbody tr")) == 11
    again: dict[str, Any] = {
        str(field["name"]): str(field["value"])
        for field in card.select("#pull-again input[type=hidden]")
    }
    assert again["updated_from"] == "2026-01-01"
    again["state"] = [str(one["value"]) for one in card.select("#pull-again [name=state]")]
    assert again["state"] == ["1", "2"]
    admin.post("/servicenow/pulls", data=again, headers=HTMX)
    service.imports.run_due()
    assert tickets_here(desk) == 11
    page = find(soup(admin.get("/servicenow").text), "#pull-card")
    assert page.select_one("a[href$='report.csv']")
    undo = str(find(page, "form[action$=undo]")["action"])
    assert "Import undone" in admin.post(undo, headers=HTMX).text
    assert tickets_here(desk) == 0


@pytest.mark.parametrize(
    "wrong", [{"updated_from": "yesterday"}, {"state": "nosuch"}, {"limit": "0"}, {"query": "x"}]
)
def test_bad_wishes_of_the_form_are_refused(
    admin: TestClient, instance: Instance, wrong: dict[str, str]
) -> None:
    assert admin.post("/servicenow/pulls", data=wrong, headers=HTMX).status_code == 422
    assert not instance.requests


@pytest.mark.parametrize(
    ("blank", "description", "subject", "said"),
    [
        ("", "\n The scanner is dead. \nSince noon.", "The scanner is dead.", "description"),
        ("  \t", "x" * 300, "x" * 159 + "…", "description"),
        ("\u200b\u202e", "", "INC9", "number"),
        ("", "<p>A mail</p>", "INC9", "number"),
    ],
)
def test_a_blank_short_description_becomes_a_subject_and_the_report_says_so(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    api: TestClient,
    blank: str,
    description: str,
    subject: str,
    said: str,
) -> None:
    instance.add_incident(
        number="INC9", caller_id=CALLER, short_description=blank, description=description
    )
    run = pull(service)
    [ticket] = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5)[0]
    assert ticket.subject == subject
    report = api.get(f"/api/sn/sync/runs/{run.id}/report.csv").text
    [row] = csv.DictReader(report.splitlines())
    assert row["reason"] == (
        f"The short description is empty, so the incident's {said} is the subject"
    )
    assert counts(pull(service))["unchanged"] == 1


def test_a_report_has_a_byte_order_mark_on_the_page_and_none_for_programs(
    service: ServiceNowService, mixed: Instance, api: TestClient, sign_in: SignIn
) -> None:
    run = pull(service)
    page = sign_in("admin").get(f"/servicenow/pulls/{run.id}/report.csv").content
    assert page.startswith(b"\xef\xbb\xbfnumber,")
    assert api.get(f"/api/sn/sync/runs/{run.id}/report.csv").content.startswith(b"number,")


def test_an_undo_keeps_what_was_pushed(
    service: ServiceNowService, mixed: Instance, desk: Desk, admin: TestClient
) -> None:
    run = pull(service)
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=50)
    service.outbox.pause("Maintenance", by="admin@example.com")
    service.push.sync(found[0].id, by="agent@example.com")
    undone = service.imports.undo(run.id, by="admin@example.com")
    assert (undone.removed, undone.kept_touched, undone.kept_pushed) == (10, 0, 1)
    assert tickets_here(desk) == 1
    assert admin.get(f"/tickets/{found[0].id}").status_code == 200
