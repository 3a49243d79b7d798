"""The outbox page, its levers, and the pause of a connection."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.models.tickets import TicketStatus
from app.simulator import Instance
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup
from tests.test_servicenow_pages import press
from tests.ticking import tick

OUTBOX = "/servicenow/outbox"


def items(browser: TestClient, query: str = "") -> list[str]:
    """The rows of the outbox as words."""
    rows = soup(browser.get(f"{OUTBOX}{query}").text).select("#outbox-table tbody tr")
    return [" ".join(row.get_text(" ").split()) for row in rows]


def linked(desk: Desk, **values: str) -> int:
    """A ticket with an incident."""
    ticket = desk.ticket(**values)
    desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    return ticket.id


def blocked_create(desk: Desk, instance: Instance) -> int:
    """A ticket whose create was refused for its resolution code."""
    instance.use_close_codes(("Fixed", "Not fixed"))
    ticket = desk.ticket(status="resolved")
    status = desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    assert status.state == "blocked"
    return ticket.id


def test_every_push_is_listed_with_its_story_and_what_waits_on_top(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    done = linked(desk, subject="Printer jam")
    instance.faults.hibernate()
    waiting = desk.ticket(subject="No sound")
    desk.services.servicenow.push.create_from_ticket(waiting.id, by="desk@example.com")
    first, second = items(agent)
    assert f"Ticket {waiting.id}" in first
    assert "No sound (Open)" in first
    assert "hibernating" in first
    assert "Retry now" in first
    assert f"Ticket {done}" in second
    assert "Done" in second
    assert "Retry now" not in second


def test_filters_and_pages_are_in_the_address(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    first = linked(desk)
    instance.faults.hibernate()
    for number in range(51):
        desk.note(first, f"Note {number}", internal=True, push=True)
    page = soup(agent.get(f"{OUTBOX}?kind=note").text)
    assert len(page.select("tbody tr")) == 50
    assert find(page, "a[rel=next]")["href"] == f"{OUTBOX}?kind=note&page=2"
    assert find(page, "#kind option[selected]").get_text() == "Send note"
    assert len(items(agent, "?kind=note&page=2")) == 1
    assert len(items(agent, "?state=done")) == 1
    assert items(agent, f"?ticket={first + 1}") == []
    assert len(items(agent, "?state=bogus&kind=1&ticket=x&page=-4")) == 50
    part = soup(agent.get(f"{OUTBOX}?state=done", headers=HTMX).text)
    assert not part.select("html")


def test_retry_on_the_page_answers_the_row_and_leads_back_without_scripts(
    agent: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    instance.faults.fail_next(status=503)
    ticket = desk.ticket()
    desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    back = f"{OUTBOX}?state=pending"
    row = soup(press(agent, f"{OUTBOX}/1/retry", back=back))
    assert find(row, "tr#outbox-item-1 .badge").get_text() == "Done"
    plain = agent.post(f"{OUTBOX}/1/retry", data={"back": back})
    assert plain.headers["Location"] == back
    elsewhere = agent.post(f"{OUTBOX}/1/retry", data={"back": "https://evil.example"})
    assert elsewhere.headers["Location"].startswith(f"/tickets/{ticket.id}")


def test_a_blocked_create_is_sent_with_a_code_and_a_group_of_the_instance(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket_id = blocked_create(desk, instance)
    form = soup(agent.get(f"{OUTBOX}/1", headers=HTMX).text)
    codes = [option.get_text() for option in form.select("select[name=close_code] option")]
    assert codes[1:] == ["Fixed", "Not fixed"]
    group = form.select("select[name=assignment_group] option")[1]
    assert agent.get(f"{OUTBOX}/1?back={OUTBOX}").status_code == 200

    wrong = agent.post(f"{OUTBOX}/1/edit", data={"close_code": "Invented"})
    assert wrong.status_code == 422
    alert = find(soup(wrong.text), "#push-edit #form-errors a")
    assert find(soup(wrong.text), alert["href"])["name"] == "close_code"
    answer = press(agent, f"{OUTBOX}/1/edit", close_code="Fixed", assignment_group=group["value"])
    assert find(soup(answer), f"#push-card-{ticket_id} .badge").get_text() == "In sync"
    incident = next(iter(instance.incidents.values()))
    assert (incident["close_code"], incident["assignment_group"]) == ("Fixed", group["value"])
    timeline = soup(agent.get(f"/tickets/{ticket_id}").text).get_text(" ")
    assert "Update edited (close code, assignment group)" in timeline


def test_editing_a_note_that_waits_edits_the_note(
    agent: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    ticket_id = linked(desk)
    instance.faults.rate_limit(retry_after=600)
    desk.note(ticket_id, "The pasword is secret", internal=True, push=True)
    tick(desk.services.servicenow)
    item = desk.services.servicenow.push.status(ticket_id).items[0]
    form = soup(agent.get(f"{OUTBOX}/{item.id}?back={OUTBOX}").text)
    assert find(form, "textarea").get_text().strip() == "The pasword is secret"
    empty = agent.post(f"{OUTBOX}/{item.id}/edit", data={"note": "  "}, headers=HTMX)
    assert empty.status_code == 422
    assert soup(empty.text).select_one("#push-edit #edit-note-error")
    press(agent, f"{OUTBOX}/{item.id}/edit", note="The password is secret", back=OUTBOX)
    assert [note.body for note in desk.notes(ticket_id)] == ["The password is secret"]
    sys_id = next(iter(instance.incidents))
    sent = [entry["value"] for entry in instance.journal(sys_id)]
    assert any("The password is secret" in text for text in sent)
    assert not any("pasword" in text for text in sent)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["scripts off", "scripts on"])
def test_a_note_that_two_edit_at_once_comes_back_with_the_text_and_is_not_undone(
    agent: TestClient, desk: Desk, instance: Instance, headers: dict[str, str]
) -> None:
    ticket_id = linked(desk)
    instance.faults.rate_limit(retry_after=600)
    desk.note(ticket_id, "The first text", internal=True, push=True)
    tick(desk.services.servicenow)
    item = desk.services.servicenow.push.status(ticket_id).items[0]
    form = soup(agent.get(f"{OUTBOX}/{item.id}").text)
    seen = find(form, "#push-edit [name=seen]")["value"]
    instance.faults.add("hibernate", times=None)
    path = f"{OUTBOX}/{item.id}/edit"
    assert agent.post(path, data={"seen": seen, "note": "Theirs"}).status_code == 303
    mine = {"seen": seen, "note": "Mine", "back": f"{OUTBOX}?kind=note"}
    late = agent.post(path, data=mine, headers=headers)
    assert late.status_code == 409
    form = find(soup(late.text), "#push-edit")
    alert = find(form, "#form-errors")
    assert "changed this note while you were editing" in alert.get_text()
    assert "Theirs" in alert.get_text()
    box = find(form, find(alert, "a")["href"])
    assert (box.get_text(), box["aria-invalid"]) == ("Mine", "true")
    assert late.headers["HX-Retarget"] == "#push-edit"
    assert agent.post(path, data={"seen": seen, "note": "The first text"}).status_code == 303
    assert [note.body for note in desk.notes(ticket_id)] == ["Theirs"]
    again = {field["name"]: field.get("value", "Mine") for field in form.select("[name]")}
    assert agent.post(path, data=again).headers["Location"] == f"{OUTBOX}?kind=note"
    assert [note.body for note in desk.notes(ticket_id)] == ["Mine"]


def test_what_may_have_arrived_is_neither_edited_nor_discarded(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket_id = linked(desk)
    instance.faults.add("lose_reply", method="PATCH")
    instance.faults.add("hibernate", times=None, method="GET")
    desk.note(ticket_id, "Hello", internal=True, push=True)
    tick(desk.services.servicenow)
    (item,) = desk.services.servicenow.push.status(ticket_id).items
    assert item.state == "unconfirmed"
    assert agent.get(f"{OUTBOX}/{item.id}").status_code == 409
    assert agent.post(f"{OUTBOX}/{item.id}/edit", data={"note": "Other"}).status_code == 409
    assert agent.post(f"{OUTBOX}/{item.id}/discard", data={"reason": "x"}).status_code == 409
    (row,) = items(agent, "?state=unconfirmed")
    assert "Retry now" in row
    assert "Discard" not in row
    assert [note.body for note in desk.notes(ticket_id)] == ["Hello"]


# -- the pause ---------------------------------------------------------------------------------


def test_a_pause_keeps_pushes_waiting_until_it_ends_and_everybody_sees_why(
    admin: TestClient, desk: Desk, instance: Instance
) -> None:
    assert admin.post("/servicenow/pause", data={"reason": " "}).status_code == 422
    card = press(admin, "/servicenow/pause", reason="The instance is upgraded")
    assert "admin@example.com" in card
    ticket = desk.ticket()
    status = desk.services.servicenow.push.create_from_ticket(ticket.id, by="desk@example.com")
    tick(desk.services.servicenow)
    assert (status.state, status.attempts) == ("owed", 0)
    assert not instance.incidents
    for path in (OUTBOX, "/servicenow", f"/tickets/{ticket.id}"):
        shown = " ".join(soup(admin.get(path).text).get_text(" ").split())
        assert "admin paused sending ( 09:00, just now )" in shown, path
        assert "The instance is upgraded" in shown
    health = admin.get("/api/sn/health").json()
    assert health["paused"]["reason"] == "The instance is upgraded"
    assert admin.get("/api/sn/outbox").json()["paused"]["by"] == "admin@example.com"

    assert admin.post("/servicenow/resume").headers["Location"] == OUTBOX
    tick(desk.services.servicenow)
    assert len(instance.incidents) == 1
    assert "paused sending" not in admin.get(OUTBOX).text


def test_only_admins_pause(agent: TestClient, app: FastAPI) -> None:
    assert not soup(agent.get(OUTBOX).text).select("form[action='/servicenow/pause']")
    assert agent.post("/servicenow/pause", data={"reason": "x"}).status_code == 403


# -- the JSON door -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "states"),
    [("", ["blocked"]), ("?state=", ["blocked", "done"]), ("?state=done", ["done"])],
)
def test_scripts_filter_the_outbox_as_people_do(
    api: TestClient, desk: Desk, instance: Instance, query: str, states: list[str]
) -> None:
    linked(desk)
    blocked_create(desk, instance)
    found = api.get(f"/api/sn/outbox{query}").json()
    assert [item["state"] for item in found["items"]] == states
    assert (found["total"], found["page"], found["pages"]) == (len(states), 1, 1)


def test_scripts_page_through_the_outbox_and_hear_of_bad_filters(
    api: TestClient, desk: Desk, instance: Instance
) -> None:
    first = linked(desk, subject="One")
    second = linked(desk, subject="Two")
    page = api.get("/api/sn/outbox?state=done&limit=1&page=2").json()
    assert [item["ticket_id"] for item in page["items"]] == [first]
    only = api.get(f"/api/sn/outbox?state=&kind=create&ticket={second}").json()["items"]
    assert [(item["ticket_id"], item["number"] is not None) for item in only] == [(second, True)]
    for query in ("state=bogus", "kind=x", "ticket=0", "limit=501", "page=0"):
        assert api.get(f"/api/sn/outbox?{query}").status_code == 422, query


def test_reopening_a_ticket_leaves_nothing_to_edit(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket_id = linked(desk)
    instance.faults.hibernate()
    desk.set_status(ticket_id, TicketStatus.PENDING)
    tick(desk.services.servicenow)
    item = desk.services.servicenow.push.status(ticket_id).items[0]
    assert item.certain
    assert agent.get(f"{OUTBOX}/{item.id}").status_code == 409
    assert "Edit and send" not in agent.get(OUTBOX).text
