"""The ServiceNow pages and the ticket's push card, as an agent's browser sees them."""

import json
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.copilot.engine import TriageEngine
from app.main import create_app
from app.settings import Settings
from app.simulator import Instance
from tests.both_sides import BETH
from tests.conftest import HTMX, Clock, signed_in
from tests.desk import Desk
from tests.html import find, soup
from tests.ticking import tick


def press(browser: TestClient, path: str, **form: str) -> str:
    """What htmx gets for a button."""
    response = browser.post(path, data=form, headers=HTMX)
    assert response.status_code == 200, response.text
    return response.text


# -- /servicenow -------------------------------------------------------------------------------


def test_fetch_latest_fills_the_table_and_says_how_old_it_is(
    agent: TestClient, instance: Instance
) -> None:
    assert "No incidents fetched yet." in agent.get("/servicenow").text
    for number in range(3):
        instance.add_incident(number=f"INC000000{number}", short_description="Mail is down")
    html = soup(press(agent, "/servicenow/fetch"))
    assert len(html.select("#incident-table tbody tr")) == 3
    assert "3 incidents, last fetched" in find(html, "#incident-table .pager").get_text()
    assert html.select_one("hx-partial[hx-target='#connection-card'] #connection-card")

    page = soup(agent.get("/servicenow").text)
    heads = [cell.get_text() for cell in page.select("#incident-table th")]
    assert heads == ["Number", "Short description", "State", "Priority", "Updated on", "Ticket"]
    assert [call["path"] for call in instance.requests].count("/api/now/table/incident") == 1


def test_fetch_latest_is_one_request_for_the_newest_hundred(
    agent: TestClient, instance: Instance
) -> None:
    for number in range(120):
        instance.add_incident(
            number=f"INC{number:07}",
            sys_updated_on=f"2026-01-01 00:{number // 60:02}:{number % 60:02}",
        )
    press(agent, "/servicenow/fetch")
    assert len(instance.requests) == 1
    page = soup(agent.get("/servicenow").text)
    assert "100 incidents" in find(page, "#incident-table .pager").get_text()
    assert find(page, "#incident-table tbody a").get_text() == "INC0000119"


def test_search_state_and_pages_are_in_the_address(agent: TestClient, instance: Instance) -> None:
    for number in range(60):
        state = "2" if number % 2 else "1"
        instance.add_incident(number=f"INC{number:07}", short_description="Wi-Fi", state=state)
    instance.add_incident(number="INC9", short_description="A lonely printer")
    press(agent, "/servicenow/fetch")
    first = soup(agent.get("/servicenow?state=2").text)
    assert len(first.select("#incident-table tbody tr")) == 25
    assert find(first, "a[rel=next]")["href"] == "/servicenow?state=2&page=2"
    assert find(first, "#state option[selected]").get_text() == "In Progress"
    second = soup(agent.get("/servicenow?state=2&page=2", headers=HTMX).text)
    assert len(second.select("tbody tr")) == 5
    assert not second.select("html")
    found = soup(agent.get("/servicenow?q=lonely").text)
    assert [a.get_text() for a in found.select("#incident-table tbody tr td a")] == ["INC9"]
    assert "No incidents match these filters" in agent.get("/servicenow?q=nosuchthing").text
    assert agent.get("/servicenow?page=-5&state=bogus").status_code == 200


def test_a_row_opens_details_in_the_dialog_and_as_a_page(
    agent: TestClient, instance: Instance
) -> None:
    theirs = instance.add_incident(
        number="INC0000001", short_description="<b>Bold</b>", description="Line 1\nLine 2"
    )
    instance.add_journal_entry(theirs["sys_id"], "work_notes", "Called back", by="fred.luddy")
    press(agent, "/servicenow/fetch")
    row = find(soup(agent.get("/servicenow").text), "#incident-table tbody a")
    assert (row["href"], row["hx-target"]) == (row["hx-get"], "#dialog-body")

    inside = soup(agent.get(row["href"], headers=HTMX).text)
    assert not inside.select("html")
    assert find(inside, "h2").get_text() == "INC0000001: <b>Bold</b>"
    assert "Called back" in inside.get_text()
    page = soup(agent.get(row["href"]).text)
    assert page.select_one("html #incident-details")


def test_an_incident_that_is_gone_says_so_and_leaves_the_mirror(
    agent: TestClient, instance: Instance
) -> None:
    theirs = instance.add_incident(number="INC0000001")
    press(agent, "/servicenow/fetch")
    instance.delete(theirs["sys_id"])
    response = agent.get(f"/servicenow/incidents/{theirs['sys_id']}", headers=HTMX)
    assert response.status_code == 404
    assert response.headers["HX-Retarget"] == "#notices"
    assert "cannot see it" in response.text
    assert "INC0000001" not in agent.get("/servicenow").text


def test_without_the_instance_old_rows_are_shown_with_the_reason(
    agent: TestClient, instance: Instance
) -> None:
    theirs = instance.add_incident(number="INC0000001")
    press(agent, "/servicenow/fetch")
    instance.faults.hibernate()
    response = agent.post("/servicenow/fetch", headers=HTMX)
    assert response.status_code == 502
    assert "hibernating" in response.text
    page = soup(agent.get("/servicenow").text)
    card = find(page, "#connection-card").get_text(" ", strip=True)
    assert "Not connected" in card
    assert "hibernating" in card
    assert "Last successful check" in card
    assert "INC0000001" in find(page, "#incident-table").get_text()
    details = agent.get(f"/servicenow/incidents/{theirs['sys_id']}", headers=HTMX)
    assert "This is the cached copy" in details.text


def test_the_connection_test_names_the_step_that_failed(
    agent: TestClient, instance: Instance
) -> None:
    press(agent, "/servicenow/test")
    good = soup(agent.get("/servicenow/test", headers=HTMX).text).get_text(" ", strip=True)
    assert "Connected" in good
    assert "OAuth is recommended" not in good, "a hint for administrators"
    instance.accounts.password = "changed"
    press(agent, "/servicenow/test")
    bad = soup(agent.get("/servicenow/test", headers=HTMX).text).get_text(" ", strip=True)
    assert "Failed Sign-in" in bad
    assert "Skipped Read incidents" in bad


def test_not_configured_says_what_is_missing(unconfigured: FastAPI) -> None:
    browser = signed_in(unconfigured, "agent")
    page = soup(browser.get("/servicenow").text)
    card = find(page, "#connection-card").get_text(" ", strip=True)
    assert "ServiceNow not configured" in card
    assert "Ask an administrator to set up the connection." in card
    assert "SN_" not in card
    page = soup(signed_in(unconfigured, "admin").get("/servicenow").text)
    card = find(page, "#connection-card").get_text(" ", strip=True)
    assert all(name in card for name in ("SN_INSTANCE_URL", "SN_USERNAME", "SN_PASSWORD"))
    assert page.select_one("#connection-card a[href='/servicenow/setup']")
    assert browser.get("/servicenow/setup").status_code == 200
    ticket = Desk(unconfigured).ticket()
    push = find(soup(browser.get(f"/tickets/{ticket.id}").text), f"#push-card-{ticket.id}")
    assert "ServiceNow not configured" in push.get_text()
    refused = browser.post(f"/servicenow/tickets/{ticket.id}/incident", headers=HTMX)
    assert refused.status_code == 503
    assert "SN_INSTANCE_URL" in refused.text


# -- the push card -----------------------------------------------------------------------------


def test_preview_lists_ours_and_theirs_and_sends_nothing(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket(subject="VPN " * 60, priority="urgent", category="access")
    page = agent.get(f"/servicenow/tickets/{ticket.id}/incident", headers=HTMX).text
    rows = {
        find(row, "th").get_text(): [cell.get_text() for cell in row.select("td")]
        for row in soup(page).select("tbody tr")
    }
    assert rows["Priority"] == ["Urgent", "1 - Critical (impact 1, urgency 1)"]
    assert rows["Category"] == ["access", "Software"]
    assert rows["Short description"][1].endswith("…")
    assert len(rows["Short description"][1]) <= 160
    assert rows["Caller"][1] == "abel.tuter@example.com"
    groups = [option.get_text() for option in soup(page).select("select option")]
    assert groups[0] == "Set by ServiceNow"
    assert "Network" in groups
    assert not instance.incidents


@pytest.mark.parametrize("trouble", ["hibernate", "drop_before", "rate_limit", "never connected"])
def test_while_servicenow_is_down_the_same_button_queues(
    agent: TestClient, instance: Instance, desk: Desk, clock: Clock, trouble: str
) -> None:
    ticket = desk.ticket()
    path = f"/servicenow/tickets/{ticket.id}/incident"
    if trouble != "never connected":
        agent.get(path, headers=HTMX)
    kind = "hibernate" if trouble == "never connected" else trouble
    instance.faults.add(kind, times=None)
    shown = agent.get(path, headers=HTMX)
    assert shown.status_code == 200
    preview = soup(shown.text)
    assert "ServiceNow cannot be reached." in find(preview, "[role=status]").get_text()
    assert "Looked up when the incident is created" in preview.get_text()
    offered = len(preview.select("select option"))
    assert offered == 1 if trouble == "never connected" else offered > 1
    card = soup(press(agent, path))
    assert find(card, ".badge").get_text() in ("Waiting", "Blocked")
    assert not instance.incidents


def test_a_connection_that_rests_is_not_asked_for_a_preview(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.faults.add("hibernate", times=None)
    for _ in range(6):
        desk.services.servicenow.connection.test()
    asked = len(instance.requests)
    page = agent.get(f"/servicenow/tickets/{ticket.id}/incident")
    assert "ServiceNow cannot be reached." in page.text
    assert len(instance.requests) == asked


def test_the_preview_proposes_the_tickets_own_group(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    path = f"/servicenow/tickets/{ticket.id}/incident"
    agent.get(path, headers=HTMX)
    group, name = next(iter(desk.services.servicenow.push.groups()))
    api_form = {"subject": "x", "assignment_group": group}
    assert agent.post(f"/tickets/{ticket.id}/edit", data=api_form).status_code == 303
    options = soup(agent.get(path, headers=HTMX).text).select("select option")
    assert [one.get_text() for one in options if "selected" in one.attrs] == [name]
    assert "Set by ServiceNow" not in [one.get_text() for one in options]


def test_a_group_that_the_instance_does_not_have_is_refused(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    path = f"/servicenow/tickets/{desk.ticket().id}/incident"
    agent.get(path, headers=HTMX)
    answer = agent.post(path, data={"assignment_group": "nonsense"}, headers=HTMX)
    assert answer.status_code == 422
    assert "does not exist in ServiceNow" in answer.text
    assert not instance.incidents


def test_the_preview_of_a_linked_ticket_says_so_and_has_no_button(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    path = f"/servicenow/tickets/{desk.ticket().id}/incident"
    press(agent, path)
    page = agent.get(path).text
    assert f"already linked to {instance_number(instance)}" in page
    assert "Nothing has been sent yet" not in page
    assert not soup(page).select("#preview form")


def test_an_error_leads_back_to_the_page_with_the_form(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket()
    path = f"/servicenow/tickets/{ticket.id}/unlink"

    def back(referer: str) -> list[str]:
        answer = agent.post(path, data={"reason": ""}, headers={"Referer": referer})
        return [link["href"] for link in soup(answer.text).select(".error-page a")]

    assert back(f"{agent.base_url}/tickets/{ticket.id}?a=b") == [f"/tickets/{ticket.id}?a=b", "/"]
    assert back(f"{agent.base_url}//evil.example/x") == ["/evil.example/x", "/"]
    assert back("https://evil.example/tickets/1") == ["/"]
    assert back("") == ["/"]


def test_confirming_the_preview_shows_the_number_with_a_link(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    group = next(iter(instance.table("sys_user_group")))
    card = soup(press(agent, f"/servicenow/tickets/{ticket.id}/incident", assignment_group=group))
    incident = next(iter(instance.incidents.values()))
    assert incident["assignment_group"] == group
    link = find(card, "dd a")
    assert link.get_text() == incident["number"]
    assert incident["sys_id"] in link["href"]
    buttons = [control.get_text(strip=True) for control in card.select("button, a.btn")]
    assert "Sync status to ServiceNow" in buttons
    assert "Add work note from AI suggestions" in buttons
    assert "hx-trigger" not in find(card, "section").attrs


def test_a_busy_instance_leaves_a_card_that_polls_and_ends_by_itself(
    agent: TestClient, instance: Instance, desk: Desk, clock: Clock
) -> None:
    ticket = desk.ticket()
    instance.faults.rate_limit(retry_after=120)
    card = soup(press(agent, f"/servicenow/tickets/{ticket.id}/incident"))
    section = find(card, "section")
    assert "rate limit is reached" in card.get_text()
    assert "Next attempt 09:02, in 2 min" in card.get_text()
    assert section["hx-get"] == f"/servicenow/tickets/{ticket.id}/push"
    clock.forward(minutes=3)
    tick(agent.app.state.services.servicenow)  # type: ignore[attr-defined]
    after = find(soup(agent.get(section["hx-get"], headers=HTMX).text), "section")
    assert "hx-get" not in after.attrs
    assert "In sync" in after.get_text()


def test_a_refusal_waits_for_a_person(agent: TestClient, instance: Instance, desk: Desk) -> None:
    ticket = desk.ticket()
    instance.rules.aborting_rule = "No tickets on Friday"
    card = soup(press(agent, f"/servicenow/tickets/{ticket.id}/incident"))
    assert "No tickets on Friday" in card.get_text()
    retry = find(card, "form[action*=retry]")
    assert retry.get_text(strip=True) == "Retry now"
    count = find(soup(agent.get("/").text), "nav .count")
    assert count.get_text(strip=True).startswith("1")
    assert "Waiting to be sent" in agent.get("/servicenow").text

    instance.rules.aborting_rule = None
    card = soup(press(agent, retry["action"]))
    assert "In sync" in card.get_text()
    assert not soup(agent.get("/").text).select("nav .count")


def test_a_refused_push_can_be_given_up_on_its_card(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.rules.aborting_rule = "No tickets on Friday"
    card = soup(press(agent, f"/servicenow/tickets/{ticket.id}/incident"))
    form = find(card, "form[action*=discard]")
    card = soup(press(agent, str(form["action"]), reason="Solved by phone"))
    assert "Not linked" in card.get_text()
    assert "Solved by phone" in agent.get(f"/tickets/{ticket.id}").text


def test_the_work_note_can_be_edited_and_lands_once(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket(subject="The printer shows offline", description="Nothing prints")
    press(agent, f"/servicenow/tickets/{ticket.id}/incident")
    path = f"/servicenow/tickets/{ticket.id}/work-note"
    box = soup(agent.get(path, headers=HTMX).text)
    assert "AI-assisted" in find(box, "textarea").get_text()
    assert instance_number(instance) in find(box, "h2").get_text()
    for _ in range(2):
        response = agent.post(path, data={"work_note": "AI-assisted, edited"}, headers=HTMX)
        events = json.loads(response.headers["HX-Trigger"])
        assert list(events) == ["modal:close", "announce"]
        assert events["announce"]["focus"] == f"push-card-{ticket.id}"
    sent = [row for row in notes_of(instance) if "AI-assisted, edited" in row["value"]]
    assert [row["element"] for row in sent] == ["work_notes"]
    assert agent.post(path, data={"work_note": "  "}, headers=HTMX).status_code == 422


def test_sync_sends_notes_that_were_not_sent(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    desk.note(ticket.id, "Written before the incident", internal=True)
    press(agent, f"/servicenow/tickets/{ticket.id}/incident")
    card = soup(agent.get(f"/servicenow/tickets/{ticket.id}/push", headers=HTMX).text)
    assert "1 internal note" in card.get_text()
    press(agent, f"/servicenow/tickets/{ticket.id}/sync")
    press(agent, f"/servicenow/tickets/{ticket.id}/sync")
    sent = [row for row in notes_of(instance) if "Written before" in row["value"]]
    assert len(sent) == 1


def test_the_card_counts_the_entries_that_a_sync_also_sends(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    instance.add_incident(number="INC0000042")
    ticket = desk.ticket()
    for text, internal in (("Seen", True), ("Tested", True), ("We are on it", False)):
        desk.note(ticket.id, text, internal=internal)
    card = press(agent, f"/servicenow/tickets/{ticket.id}/link", number="INC0000042")
    assert "2 internal notes and 1 comment (visible to the caller)." in card


def test_a_note_form_offers_to_send_with_the_right_default(
    agent: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    assert not soup(agent.get(f"/tickets/{ticket.id}").text).select("input[name=send]")
    press(agent, f"/servicenow/tickets/{ticket.id}/incident")
    ticks = soup(agent.get(f"/tickets/{ticket.id}").text).select("input[name=send]")
    assert {one["value"]: "checked" in one.attrs for one in ticks} == {
        "internal": True,
        "comment": False,
    }
    assert all(instance_number(instance) in one.parent.get_text() for one in ticks)
    form = {"body": "Between us", "kind": "internal", "send": "comment"}
    agent.post(f"/tickets/{ticket.id}/notes", data=form)
    form = {"body": "Only the requester reads it", "kind": "comment", "send": "internal"}
    agent.post(f"/tickets/{ticket.id}/notes", data=form)
    form = {"body": "Send this", "kind": "internal", "send": "internal"}
    agent.post(f"/tickets/{ticket.id}/notes", data=form)
    tick(agent.app.state.services.servicenow)  # type: ignore[attr-defined]
    values = [row["value"] for row in notes_of(instance)]
    assert any("Send this" in value for value in values)
    assert not any("Between us" in value for value in values)
    assert not any("Only the requester" in value for value in values)


def test_linking_and_unlinking(agent: TestClient, instance: Instance, desk: Desk) -> None:
    theirs = instance.add_incident(number="INC0000042")
    ticket, other = desk.ticket(), desk.ticket()
    path = f"/servicenow/tickets/{ticket.id}"
    missing = agent.post(f"{path}/link", data={"number": "INC0000043"}, headers=HTMX)
    assert missing.status_code == 404
    card = soup(press(agent, f"{path}/link", number=" inc0000042 "))
    assert find(card, "dd a").get_text() == theirs["number"]
    taken = agent.post(
        f"/servicenow/tickets/{other.id}/link", data={"number": "INC0000042"}, headers=HTMX
    )
    assert taken.status_code == 409
    assert f"ticket {ticket.id}" in taken.text
    assert agent.post(f"{path}/unlink", data={"reason": ""}, headers=HTMX).status_code == 422
    assert "Not linked" in press(agent, f"{path}/unlink", reason="Wrong one")
    assert "Wrong one" in agent.get(f"/tickets/{ticket.id}").text


@pytest.mark.parametrize("action", ["incident", "sync", "work-note"])
def test_without_scripts_the_same_forms_lead_back_to_the_ticket(
    agent: TestClient, instance: Instance, desk: Desk, action: str
) -> None:
    ticket = desk.ticket()
    if action != "incident":
        press(agent, f"/servicenow/tickets/{ticket.id}/incident")
    response = agent.post(f"/servicenow/tickets/{ticket.id}/{action}", data={"work_note": "Hello"})
    assert response.status_code == 303
    assert response.headers["Location"] == f"/tickets/{ticket.id}#push-card-{ticket.id}"
    assert instance_number(instance) in agent.get(f"/tickets/{ticket.id}").text


def test_read_only_keeps_pushes_waiting_and_says_so(
    settings: Settings, clock: Clock, triage: TriageEngine, instance: Instance
) -> None:
    reading = replace(settings, servicenow=replace(settings.servicenow, read_only=True))
    app = create_app(reading, load_triage=lambda: triage, now=clock)
    browser = signed_in(app, "agent")
    ticket = Desk(app).ticket()
    card = soup(press(browser, f"/servicenow/tickets/{ticket.id}/incident")).get_text(" ")
    tick(app.state.services.servicenow)
    assert "read-only" in card
    assert "Waiting" in card
    assert not instance.incidents
    press(browser, "/servicenow/fetch")
    app.state.services.servicenow.close()
    app.state.engine.dispose()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/servicenow/tickets/{id}/incident", "assignment_group"),
        ("/servicenow/tickets/{id}/work-note", "work_note"),
        ("/servicenow/tickets/{id}/unlink", "reason"),
        ("/servicenow/tickets/{id}/link", "number"),
        ("/servicenow/pulls", "query"),
        ("/tickets/{id}/notes", "body"),
        ("/tickets", "subject"),
        ("/tickets", "key"),
    ],
)
def test_what_no_database_can_keep_is_refused_with_a_sentence(
    admin: TestClient, instance: Instance, desk: Desk, path: str, field: str
) -> None:
    ticket = desk.ticket()
    form = {"subject": "x"} | {field: "half\x00way"}
    response = admin.post(path.format(id=ticket.id), data=form, headers=HTMX)
    assert response.status_code == 422
    assert not instance.incidents


def instance_number(instance: Instance) -> str:
    return next(iter(instance.incidents.values()))["number"]


def notes_of(instance: Instance) -> list[dict[str, str]]:
    return instance.journal(next(iter(instance.incidents)))


def test_what_a_link_took_over_shows_in_the_form_at_once(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket = desk.ticket(subject="Mail is down")
    them = instance.add_incident(short_description="Mail is down", assigned_to=BETH)
    shown = {**HTMX, "HX-Current-URL": f"http://testserver/tickets/{ticket.id}"}
    path = f"/servicenow/tickets/{ticket.id}"
    answer = agent.post(f"{path}/link", data={"number": them["number"]}, headers=shown)
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#main", "outerMorph")
    html = soup(answer.text)
    now = desk.services.tickets.get(ticket.id, desk.user)
    assert now.assignee == "beth.anglin@example.com"
    assert find(html, "#assignee option[selected]").get_text() == now.assignee
    assert find(html, "#status-form input[name=seen]")["value"] == str(now.basis)


def test_a_card_that_asks_for_itself_brings_the_page_when_nothing_is_on_its_way(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket = desk.ticket()
    shown = {**HTMX, "HX-Current-URL": f"http://testserver/tickets/{ticket.id}"}
    path = f"/servicenow/tickets/{ticket.id}/push"
    instance.faults.add("drop_before", times=None)
    agent.post(f"/servicenow/tickets/{ticket.id}/incident", headers=shown)
    assert "HX-Retarget" not in agent.get(path, headers=shown).headers
    instance.faults.clear()
    for item in desk.services.servicenow.push.status(ticket.id).items:
        desk.services.servicenow.outbox.retry(item.id, by="agent@example.com")
    answer = agent.get(path, headers=shown)
    assert (answer.headers["HX-Reswap"], "HX-Push-Url" in answer.headers) == ("outerMorph", False)
    assert json.loads(answer.headers["HX-Trigger"])["announce"]["focus"] == ""
    assert "In sync" in find(soup(answer.text), f"#push-card-{ticket.id}").get_text()
