"""The history of exchanges: what is kept of each, found again, exported, thrown away."""

import csv
import io
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db import sync_history
from app.db.engine import writing
from app.integrations.servicenow.call_listeners import Call
from app.models.servicenow_pages import HistoryEntry, HistoryFilter
from app.models.tickets import TicketStatus
from app.services.servicenow.sync_history import field_changes
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import soup
from tests.test_servicenow_outbox import linked
from tests.test_servicenow_pages import press
from tests.ticking import tick

HISTORY = "/servicenow/history"


def history(desk: Desk, **wanted: object) -> list[HistoryEntry]:
    """What is kept, oldest first."""
    filters = replace(HistoryFilter(), **wanted)  # type: ignore[arg-type]
    return list(desk.services.servicenow.history.all(filters))[::-1]


def changes(one: HistoryEntry) -> dict[str, tuple[str, str]]:
    return {change.field: (change.before, change.after) for change in one.changes}


def test_a_create_an_update_and_a_note_each_leave_their_story(
    desk: Desk, instance: Instance
) -> None:
    ticket_id = linked(desk, subject="Printer jam")
    desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    tick(desk.services.servicenow)
    desk.note(ticket_id, "Toner ordered", internal=True, push=True)
    tick(desk.services.servicenow)
    create, update, note = history(desk, ticket=ticket_id)
    assert [one.what for one in (create, update, note)] == ["create", "update", "note"]
    assert changes(create)["short_description"] == ("", "Printer jam")
    assert changes(update)["state"] == ("1", "2")
    assert "Toner ordered" in changes(note)["work_notes"][1]
    for one in (create, update, note):
        assert (one.direction, one.outcome, one.attempt) == ("push", "done", 1)
        assert one.number == instance.incidents[next(iter(instance.incidents))]["number"]
        assert one.who == "desk@example.com"
        assert len(one.transaction_id) == 12
        assert one.status in ("200", "201")
        assert any(call["transaction"] == one.transaction_id for call in one.calls)


def test_failed_attempts_are_kept_with_their_outcome(
    desk: Desk, instance: Instance, clock: Clock
) -> None:
    ticket_id = linked(desk)
    instance.faults.hibernate()
    desk.set_status(ticket_id, TicketStatus.IN_PROGRESS)
    tick(desk.services.servicenow)
    instance.faults.clear()
    clock.forward(minutes=5)
    tick(desk.services.servicenow)
    _, failed, done = history(desk, ticket=ticket_id)
    assert (failed.outcome, failed.attempt, failed.changes) == ("postponed", 1, ())
    assert "hibernating" in failed.detail
    assert (done.outcome, done.attempt) == ("done", 2)


def test_a_lost_answer_is_kept_as_unconfirmed_with_what_was_sent(
    desk: Desk, instance: Instance
) -> None:
    ticket_id = linked(desk)
    instance.faults.add("lose_reply", method="PATCH")
    instance.faults.add("fail", times=None, method="GET", path="sys_journal", status=503)
    desk.note(ticket_id, "Hello", internal=True, push=True)
    tick(desk.services.servicenow)
    one = history(desk, ticket=ticket_id)[-1]
    assert one.what == "note"
    assert "Hello" in changes(one)["work_notes"][1]


def test_a_pull_is_one_row_and_a_refreshed_ticket_one_more(
    admin: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    ticket_id = linked(desk)
    for number in range(30):
        instance.add_incident(number=f"INC1{number:06}")
    theirs = next(iter(instance.incidents.values()))
    theirs["short_description"] = "Renamed there"
    admin.post("/servicenow/pulls", data={"import_tickets": "true"})
    tick(desk.services.servicenow)
    found = history(desk, direction="pull")
    refresh, run = sorted(found, key=lambda one: one.what == "import")
    assert (refresh.what, refresh.ticket_id) == ("refresh", ticket_id)
    assert changes(refresh)["subject"] == ("The printer is on fire", "Renamed there")
    assert (run.what, run.who, run.outcome) == ("import", "admin@example.com", "done")
    assert "fetched 31, created 30, updated 1" in run.detail
    assert len(found) == 2


def test_what_arrives_by_itself_is_kept_with_the_call_that_brought_it(both: BothSides) -> None:
    both.there(short_description="Theirs", comments="We look into it")
    both.service.incoming.ask()
    both.service.incoming.run_due()
    found = {one.what: one for one in history(both.desk, direction="pull", ticket=both.id)}
    assert changes(found["refresh"])["subject"][1] == "Theirs"
    assert changes(found["note"])["comments"] == ("", "We look into it")
    assert found["note"].who == "beth.anglin"
    for one in found.values():
        assert (one.status, len(one.transaction_id)) == ("200", 12)


def test_a_value_that_the_instance_did_not_keep_is_told_as_it_is_there() -> None:
    calls = [Call("PATCH", "/x", "200", "", 1, sent={"category": "no"}, record={"category": ""})]
    assert field_changes(calls)[0].after == ""


def test_linking_by_number_is_kept(agent: TestClient, desk: Desk, instance: Instance) -> None:
    theirs = instance.add_incident(number="INC0000007")
    ticket = desk.ticket()
    press(agent, f"/servicenow/tickets/{ticket.id}/link", number="inc0000007")
    (one,) = (one for one in history(desk) if one.what == "link")
    assert (one.number, one.who) == (theirs["number"], "agent@example.com")


def test_the_page_searches_pages_and_belongs_to_the_ticket(
    agent: TestClient, desk: Desk, instance: Instance, clock: Clock, engine: Engine
) -> None:
    first = linked(desk, subject="One")
    clock.forward(days=2)
    second = linked(desk, subject="Two")
    with writing(engine) as conn:
        for _ in range(51):
            sync_history.add(
                conn,
                at=clock(),
                direction="push",
                what="note",
                ticket_id=second,
                who="desk@example.com",
            )

    def rows(query: str) -> int:
        return len(soup(agent.get(f"{HISTORY}?{query}").text).select("tbody tr"))

    assert rows("") == 50
    assert rows("page=2") == 3
    assert rows(f"ticket={first}") == 1
    assert rows("number=inc0010001") == 1
    assert rows("who=DESK@") == 50
    assert rows("who=nobody") == 0
    assert rows("outcome=blocked") == 0
    assert rows("until=2026-11-24") == 1
    assert rows("since=2026-11-25&until=2026-11-26&page=2") == 2
    assert rows("since=bogus&ticket=x&direction=1&page=-3") == 50
    assert not soup(agent.get(f"{HISTORY}?page=2", headers=HTMX).text).select("html")
    links = soup(agent.get(f"/tickets/{first}").text).select("a")
    assert f"{HISTORY}?ticket={first}" in [link.get("href") for link in links]


def test_the_export_has_a_line_per_field_and_no_formulas(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket_id = linked(desk, subject="=HYPERLINK(1)")
    answer = agent.get(f"{HISTORY}.csv?ticket={ticket_id}")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.content.startswith("\ufeffexchange,".encode())
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    named = {line["field"]: line for line in lines}
    assert named["short_description"]["after"] == "'=HYPERLINK(1)"
    assert {line["exchange"] for line in lines} == {"1"}
    assert named["state"]["at"] == "2026-11-24T09:00:00+00:00"


def test_old_exchanges_are_thrown_away(desk: Desk, instance: Instance, clock: Clock) -> None:
    linked(desk)
    clock.forward(days=89)
    tick(desk.services.servicenow)
    assert len(history(desk)) == 1
    clock.forward(days=2)
    tick(desk.services.servicenow)
    assert history(desk) == []


@pytest.mark.parametrize("secret", ["copilot-secret"])
def test_no_secret_is_kept(
    app: FastAPI, agent: TestClient, desk: Desk, instance: Instance, secret: str
) -> None:
    linked(desk)
    instance.faults.add("unauthorized", times=None)
    desk.services.servicenow.push.create_from_ticket(desk.ticket().id, by="desk@example.com")
    assert secret not in agent.get(f"{HISTORY}.csv").text
    assert secret not in agent.get(HISTORY).text


def test_a_secret_in_what_the_instance_said_is_hidden(
    agent: TestClient, engine: Engine, clock: Clock
) -> None:
    with writing(engine) as conn:
        sync_history.add(
            conn,
            at=clock(),
            direction="push",
            what="update",
            who="desk@example.com",
            outcome="blocked",
            detail="A rule refused it: password is Kanarie-7731x",
        )
    for path in (HISTORY, f"{HISTORY}.csv"):
        text = agent.get(path).text
        assert "A rule refused it: password is [password hidden]" in text
        assert "Kanarie" not in text
