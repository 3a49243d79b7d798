"""Tickets as agents and requesters work them, by page and by JSON."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from app.models.accounts import Role
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import Element, find, soup


def opened(browser: TestClient, **form: str) -> str:
    """The address of a ticket opened by the form."""
    response = browser.post("/tickets", data={"subject": "Mail is down"} | form)
    assert response.status_code == 303, response.text
    return response.headers["Location"]


def page(browser: TestClient, path: str) -> Element:
    response = browser.get(path)
    assert response.status_code == 200, response.text
    return soup(response.text)


# -- opening -----------------------------------------------------------------------------------


def test_a_ticket_is_opened_and_triaged_at_once(agent: TestClient, desk: Desk) -> None:
    path = opened(
        agent,
        subject="Printer shows offline",
        description="Nothing comes out of the printer on our floor, the queue is full",
        requester_email="Amara.Okafor@Example.com",
    )
    ticket = page(agent, path)
    facts = find(ticket, "#ticket-facts").get_text(" ", strip=True)
    assert "amara.okafor@example.com" in facts
    assert "Hardware" in facts
    steps = ticket.select("#suggestions li")
    assert steps
    source = find(ticket, "#suggestions p > a")["href"]
    assert page(agent, source).select("article ol li")
    assert "Category: hardware" in find(ticket, "#timeline").get_text()


def test_a_text_that_says_nothing_is_not_sure(agent: TestClient) -> None:
    ticket = page(agent, opened(agent, subject="qwxz zzkp", description="vvfq"))
    assert "Not sure" in find(ticket, "#triage").get_text()
    assert "No suggestions." in find(ticket, "#suggestions").get_text()


def test_pressing_twice_opens_one_ticket(agent: TestClient) -> None:
    key = find(page(agent, "/tickets/new"), "input[name=key]")["value"]
    first = opened(agent, key=str(key))
    assert opened(agent, key=str(key)) == first


def test_a_form_that_cannot_be_used_keeps_what_was_typed(agent: TestClient) -> None:
    form = {"subject": " ", "description": "A long story", "category": "hardware"}
    response = agent.post("/tickets", data=form)
    assert response.status_code == 422
    html = soup(response.text)
    assert find(html, "[role=alert] a")["href"] == "#subject"
    assert find(html, "#subject")["aria-invalid"] == "true"
    assert find(html, "#description").get_text() == "A long story"
    assert find(html, "#category option[selected]")["value"] == "hardware"


@pytest.mark.parametrize("length", [256, 1_000_000])
def test_a_subject_that_is_too_long_is_refused_in_its_form(agent: TestClient, length: int) -> None:
    response = agent.post("/tickets", data={"subject": "x" * length})
    assert response.status_code == 422
    assert "255" in find(soup(response.text), "#subject-error").get_text()


def test_a_body_past_all_limits_is_413(agent: TestClient, api: TestClient) -> None:
    assert agent.post("/tickets", data={"subject": "x" * 2_000_000}).status_code == 413
    response = api.post("/api/tickets", json={"subject": "x" * 2_000_000})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


# -- listing -----------------------------------------------------------------------------------


def test_filters_search_sort_and_pages_are_in_the_address(agent: TestClient, desk: Desk) -> None:
    for number in range(30):
        desk.ticket(subject=f"Laptop {number}", priority="low", category="hardware")
    desk.ticket(subject="Router 100 % down", priority="urgent", category="network")
    everything = page(agent, "/tickets")
    assert len(everything.select("tbody tr")) == 25
    assert find(everything, "a[rel=next]")["href"] == "/tickets?page=2"
    assert len(page(agent, "/tickets?page=2").select("tbody tr")) == 6
    by_priority = page(agent, "/tickets?sort=priority").select("tbody tr")
    assert "Router" in by_priority[0].get_text()
    for query in ("q=100+%25", "category=network", "priority=urgent", "q=ROUTER", "q=%2331"):
        rows = page(agent, f"/tickets?{query}").select("tbody tr")
        assert ["Router" in row.get_text() for row in rows] == [True], query
    assert "No tickets match" in agent.get("/tickets?status=closed").text
    table = agent.get("/tickets?q=router", headers=HTMX)
    assert find(soup(table.text), "section")["id"] == "ticket-table"
    assert "HX-Request-Type" in table.headers["Vary"]


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=999999999",
        "sort=nosuch",
        "status=nosuch",
        "priority=%00",
        "q=%00%27",
        "q=%25_",
    ],
)
def test_odd_addresses_still_answer_a_list(agent: TestClient, query: str) -> None:
    assert agent.get(f"/tickets?{query}").status_code == 200
    assert agent.get("/tickets?page=many").status_code == 422


# -- working -----------------------------------------------------------------------------------


def test_resolving_asks_for_code_and_notes(agent: TestClient, desk: Desk) -> None:
    path = f"/tickets/{desk.ticket().id}"
    form = {"status": "resolved", "resolution_notes": "New cable"}
    refused = agent.post(f"{path}/status", data=form)
    assert refused.status_code == 422
    html = soup(refused.text)
    assert html.select_one("#resolution_code-error")
    assert find(html, "#resolution_notes").get_text() == "New cable"
    assert find(html, "#status option[selected]")["value"] == "resolved"
    done = agent.post(f"{path}/status", data=form | {"resolution_code": "Solution provided"})
    assert done.status_code == 303
    assert "Open → Resolved" in find(page(agent, path), "#timeline").get_text()


def test_a_ticket_is_assigned_to_active_staff_only(agent: TestClient, desk: Desk) -> None:
    desk.services.accounts.create_user("guest@example.com", Role.REQUESTER)
    path = f"/tickets/{desk.ticket().id}"
    form = {"subject": "x", "assignee": "guest@example.com"}
    assert agent.post(f"{path}/edit", data=form).status_code == 422
    form["assignee"] = "agent@example.com"
    assert agent.post(f"{path}/edit", data=form).status_code == 303
    facts = find(page(agent, path), "#ticket-facts")
    assert find(facts, "[title='agent@example.com']").get_text() == "agent"


def test_the_timeline_tells_everything_in_order(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket()
    desk.note(ticket.id, "First\nsecond line <script>", internal=True)
    desk.note(ticket.id, "Hello", internal=False)
    entries = page(agent, f"/tickets/{ticket.id}").select("#timeline li")
    kinds = [entry["class"].split()[1].removeprefix("entry-") for entry in entries]
    assert kinds == ["status", "triage", "internal_note", "comment"]
    assert find(entries[2], ".entry-body").get_text() == "First\nsecond line <script>"


def test_a_note_pressed_twice_is_written_once(agent: TestClient, desk: Desk) -> None:
    ticket = desk.ticket()
    for _ in range(2):
        agent.post(f"/tickets/{ticket.id}/notes", data={"body": "Hello", "kind": "comment"})
    assert len(desk.notes(ticket.id)) == 1


def test_an_empty_note_is_refused(agent: TestClient, desk: Desk) -> None:
    response = agent.post(f"/tickets/{desk.ticket().id}/notes", data={"body": "  "})
    assert response.status_code == 422
    assert soup(response.text).select_one("#body-error")


def test_internal_articles_are_for_staff(agent: TestClient, requester: TestClient) -> None:
    assert requester.get("/articles/nosuch").status_code == 404
    assert agent.get("/articles/../../etc/passwd").status_code == 404


# -- by JSON -----------------------------------------------------------------------------------


def test_a_script_opens_reads_and_changes_a_ticket(api: TestClient) -> None:
    made = api.post("/api/tickets", json={"subject": "VPN", "priority": "high"})
    assert made.status_code == 201
    path = made.headers["Location"]
    ticket = api.get(path).json()
    assert (ticket["status"], ticket["priority"]) == ("open", "high")
    assert ticket["created_at"] == "2026-11-24T09:00:00Z"
    assert ticket["sn_sync_status"] is None
    changed = api.patch(path, json={"status": "pending", "category": "network"}).json()
    assert (changed["status"], changed["category"]) == ("pending", "network")
    assert api.patch(path, json={"category": None}).json()["category"] is None
    note = api.post(f"{path}/notes", json={"body": "From a script"})
    assert (note.status_code, note.json()["kind"]) == (201, "internal_note")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subject": ""},
        {"subject": 7},
        {"subject": "x" * 256},
        {"subject": "x", "description": "y" * 100_001},
        {"subject": "x", "priority": "extreme"},
        {"subject": "x", "category": "nosuch"},
        {"subject": "x", "status": "open"},
        {"subject": "x\u0000y"},
        [],
        "text",
    ],
)
def test_a_bad_ticket_is_422_with_its_fields(api: TestClient, body: object) -> None:
    response = api.post("/api/tickets", json=body)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid"
    assert response.json()["errors"]
    assert api.get("/api/tickets").json()["tickets"] == []


@pytest.mark.parametrize("address", ["not an email", "a@b\u202ec", "@", f"{'a' * 251}@b.c"])
def test_a_requester_needs_an_address(agent: TestClient, api: TestClient, address: str) -> None:
    body = {"subject": "For a colleague", "requester_email": address}
    assert api.post("/api/tickets", json=body).status_code == 422
    answer = agent.post("/tickets", data={**body, "key": "k"})
    assert answer.status_code == 422
    assert find(soup(answer.text), "#requester_email")["aria-invalid"] == "true"
    assert api.get("/api/tickets").json()["tickets"] == []


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ('{"subject": " "}', "subject", "Enter a subject."),
        ('{"subject": 7}', "subject", "Enter text."),
        (f'{{"subject": "{"x" * 256}"}}', "subject", "Use at most 255 characters."),
        ("{}", "subject", "This field is required."),
        ("{bad", "body", "The request body is not valid JSON."),
        ('{"subject": "x", "x": 1}', "x", "Unknown field."),
    ],
)
def test_what_is_wrong_with_a_field_is_told_in_plain_words(
    api: TestClient, body: str, field: str, told: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.post("/api/tickets", content=body, headers=headers)
    assert response.status_code == 422
    assert response.json()["errors"] == {field: told}


@pytest.mark.parametrize(
    "change",
    [
        {"status": "gone"},
        {"status": None},
        {"subject": None},
        {"status": "resolved"},
        {"assignee": "nobody@example.com"},
        {"id": 5},
    ],
)
def test_a_bad_change_is_422_and_changes_nothing(
    api: TestClient, desk: Desk, change: dict[str, object]
) -> None:
    path = f"/api/tickets/{desk.ticket().id}"
    before = api.get(path).json()
    assert api.patch(path, json=change).status_code == 422
    assert api.get(path).json() == before


def test_an_idempotency_key_opens_one_ticket(api: TestClient) -> None:
    def ask(subject: str = "Once") -> tuple[int, object]:
        response = api.post(
            "/api/tickets", json={"subject": subject}, headers={"Idempotency-Key": "k1"}
        )
        return response.status_code, response.json().get("id")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(), range(4)))
    assert sorted(status for status, _ in found) == [200, 200, 200, 201]
    assert len({ticket_id for _, ticket_id in found}) == 1
    assert ask("Something else")[0] == 409


def test_a_list_is_read_to_its_end_by_its_cursor(api: TestClient, desk: Desk) -> None:
    made = [desk.ticket(subject=f"T{number}").id for number in range(7)]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        body = api.get("/api/tickets", params={"limit": 3, "cursor": cursor}).json()
        seen += [ticket["id"] for ticket in body["tickets"]]
        cursor = body["next_cursor"]
    assert seen == sorted(made, reverse=True)
    for bad in ({"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"status": "x"}, {"nosuch": 1}):
        assert api.get("/api/tickets", params=bad).status_code == 422
    narrowed = api.get("/api/tickets", params={"q": "T3", "status": "open"}).json()
    assert [ticket["subject"] for ticket in narrowed["tickets"]] == ["T3"]


def test_the_dashboard_counts(agent: TestClient, desk: Desk) -> None:
    desk.ticket(priority="urgent")
    desk.ticket(status="resolved")
    html = page(agent, "/")
    stats = [stat.get_text(" ", strip=True) for stat in html.select("a.stat")]
    assert stats == ["1 Open", "0 In progress", "0 Pending", "1 Resolved", "0 Closed"]
    assert html.select_one("#chart-priority a[aria-label='Urgent: 1']")
    assert html.select_one("#chart-age a[aria-label='Last 24 hours: 1']")
    assert html.select_one("#servicenow-health")
