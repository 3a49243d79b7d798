"""The mapping page: the instance's own choices, an admin's maps, and what they do."""

from fastapi.testclient import TestClient

from app.models.tickets import TicketStatus
from app.simulator import Instance
from tests.desk import Desk
from tests.html import find, soup
from tests.test_servicenow_outbox import linked
from tests.test_servicenow_pages import press
from tests.ticking import tick

MAPPING = "/servicenow/mapping"


def form_of(browser: TestClient) -> dict[str, str]:
    """The maps as the form holds them."""
    page = soup(browser.get(MAPPING).text)
    chosen = {}
    for select in page.select("main select"):
        option = select.select_one("option[selected]") or find(select, "option")
        chosen[select["name"]] = option["value"]
    return chosen


def words(browser: TestClient, element: str) -> str:
    found = find(soup(browser.get(MAPPING).text), element)
    return " ".join(found.get_text(" ").split())


def test_the_defaults_are_those_of_the_owner(agent: TestClient, instance: Instance) -> None:
    maps = form_of(agent)
    statuses = [maps[f"state_of_status.{status}"] for status in TicketStatus]
    assert statuses == ["1", "2", "3", "6", "7"]
    ours = [maps[f"their_priority.{one}"] for one in ("low", "medium", "high", "urgent")]
    assert ours == ["4", "3", "2", "1"]
    back = [maps[f"our_priority.{value}"] for value in "12345"]
    assert back == ["urgent", "high", "medium", "low", "low"]
    assert maps["status_of_state.8"] == "closed"
    assert "This is the default mapping." in agent.get(MAPPING).text


def test_the_instances_own_choices_are_offered_once_read(
    agent: TestClient, instance: Instance
) -> None:
    instance.add_choice("state", "-5", "Awaiting vendor")
    assert "status_of_state.-5" not in form_of(agent)
    assert agent.post(f"{MAPPING}/choices").headers["Location"] == MAPPING
    assert form_of(agent)["status_of_state.-5"] == ""
    labels = [one.get_text() for one in soup(agent.get(MAPPING).text).select("option")]
    assert "Awaiting vendor (-5)" in labels


def test_saved_maps_are_what_pushes_and_imports_use(
    admin: TestClient, desk: Desk, instance: Instance
) -> None:
    instance.add_choice("state", "-5", "Awaiting vendor")
    theirs = instance.add_incident(number="INC7", state="-5")
    admin.post(f"{MAPPING}/choices")
    maps = form_of(admin) | {
        "state_of_status.pending": "-5",
        "status_of_state.-5": "pending",
        "their_category.access": "inquiry",
    }
    assert admin.post(MAPPING, data=maps).headers["Location"] == MAPPING
    assert form_of(admin) == maps
    assert "admin changed the mapping" in soup(admin.get(MAPPING).text).get_text()

    ticket_id = linked(desk, category="access")
    incident = next(one for one in instance.incidents.values() if one["number"] != "INC7")
    assert incident["category"] == "inquiry"
    desk.set_status(ticket_id, TicketStatus.PENDING)
    tick(desk.services.servicenow)
    assert incident["state"] == "-5"
    admin.post("/servicenow/pulls", data={"import_tickets": "true", "query": "number=INC7"})
    tick(desk.services.servicenow)
    rows = soup(admin.get("/tickets?status=pending").text).select("#ticket-table tbody tr")
    assert len(rows) == 2, theirs


def test_the_preview_shows_both_directions_and_counts_what_is_unmapped(
    admin: TestClient, instance: Instance
) -> None:
    instance.add_incident(number="INC1", state="1", priority="5", category="network")
    for number in range(3):
        instance.add_incident(number=f"INC2{number}", state="11", category="facilities")
    press(admin, "/servicenow/fetch")
    shown = words(admin, "#map-preview").replace(" ,", ",")
    assert "New, 5 - Planning, Network Open, Low, Network New, 4 - Low, Network Differs" in shown
    assert "Not sent: unmapped state" in shown
    unmapped = words(admin, "#unmapped")
    assert "State “11”: 3 incidents. Incidents with this state are not imported" in unmapped
    assert "Category “facilities”: 3 incidents" in unmapped

    tried = form_of(admin) | {
        "status_of_state.11": "in_progress",
        "our_category.facilities": "hardware",
    }
    page = soup(admin.post(f"{MAPPING}/preview", data=tried).text)
    assert "All states, priorities and categories" in find(page, "#unmapped").get_text()
    assert "Not saved." in page.get_text()
    assert "State “11”" in words(admin, "#unmapped"), "nothing was stored"


def test_a_status_that_comes_back_as_another_is_warned_of(
    admin: TestClient, instance: Instance
) -> None:
    maps = form_of(admin) | {"state_of_status.pending": "2"}
    admin.post(MAPPING, data=maps)
    assert "Pending is sent as In Progress but read back as In progress." in soup(
        admin.get(MAPPING).text
    ).get_text(" ")


def test_what_is_no_choice_is_refused_and_nothing_is_stored(
    admin: TestClient, instance: Instance
) -> None:
    good = form_of(admin)
    for wrong in (
        {"state_of_status.open": "99"},
        {"state_of_status.open": ""},
        {"status_of_state.1": "bogus"},
        {"our_priority.1": "x\x00"},
    ):
        answer = admin.post(MAPPING, data=good | wrong)
        if "our_priority.1" in wrong:
            assert answer.status_code == 303, "what cannot be stored counts as not chosen"
            admin.post(f"{MAPPING}/reset")
        else:
            assert answer.status_code == 422, wrong
            assert next(iter(wrong)) in answer.text
    assert form_of(admin) == good
    assert admin.post(MAPPING, data={}).status_code == 422


def test_agents_read_the_maps_and_admins_put_the_defaults_back(
    admin: TestClient, agent: TestClient, instance: Instance
) -> None:
    good = form_of(agent)
    assert soup(agent.get(MAPPING).text).select_one("fieldset[disabled]")
    for path in (MAPPING, f"{MAPPING}/preview", f"{MAPPING}/reset"):
        assert agent.post(path, data=good).status_code == 403
    admin.post(MAPPING, data=good | {"state_of_status.pending": "2"})
    assert form_of(admin) != good
    admin.post(f"{MAPPING}/reset")
    assert form_of(admin) == good


def test_the_page_shows_who_changed_which_map_when(
    admin: TestClient, agent: TestClient, instance: Instance
) -> None:
    good = form_of(agent)
    admin.post(MAPPING, data=good)
    assert "Change log" not in agent.get(MAPPING).text, "saved as it was"
    admin.post(MAPPING, data=good | {"state_of_status.pending": "2", "our_priority.5": ""})
    admin.post(f"{MAPPING}/reset")

    undone, changed = soup(agent.get(MAPPING).text).select("#map-changes tbody tr")
    who = find(changed, "[data-label='Changed by'] span")
    assert (who.get_text(), who["title"]) == ("admin", "admin@example.com")
    what = find(changed, "[data-label=Change]").get_text(" ")
    assert "State Pending to ServiceNow: On Hold → In Progress" in what
    assert "Priority 5 - Planning from ServiceNow: Low → Unmapped" in what
    assert "State Pending to ServiceNow: In Progress → On Hold" in undone.get_text(" ")
    assert "This is the default mapping." in agent.get(MAPPING).text
