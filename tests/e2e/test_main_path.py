"""The main path in a real Chromium, with scripts on and with scripts off."""

from app.simulator import Instance
from tests.desk import Desk
from tests.e2e.conftest import Visitor


def test_from_ticket_to_incident_and_back(
    either: Visitor, live_desk: Desk, instance: Instance
) -> None:
    """Log in, open a ticket, create its incident, move it on, add a note."""
    page = either.page
    either.sign_in("agent")
    either.follow("New ticket")
    page.get_by_label("Subject").fill("The printer shows offline")
    page.get_by_label("Description").fill("Nothing comes out of the printer on floor 2")
    either.press("Create ticket")
    page.get_by_role("heading", name="Suggested steps").wait_for()

    either.follow("Create ServiceNow Incident")
    page.get_by_role("heading", name="Create ServiceNow Incident").wait_for()
    assert not instance.incidents
    page.get_by_label("Assignment group").select_option(label="Hardware")
    either.press("Create ServiceNow Incident")
    page.get_by_text("In sync", exact=True).wait_for()
    (incident,) = instance.incidents.values()
    assert page.get_by_role("link", name=incident["number"]).is_visible()

    page.get_by_label("Status", exact=True).select_option("in_progress")
    either.press("Set status")
    page.get_by_text("Open → In progress").wait_for()
    either.press("Sync status to ServiceNow")
    page.get_by_text("In sync", exact=True).wait_for()
    assert incident["state"] == "2"

    either.follow("Add work note from AI suggestions")
    box = page.get_by_label("Work note (visible to staff only)")
    box.fill(box.input_value() + "\nChecked by a person.")
    either.press("Send work note")
    page.locator("#work-note").wait_for(state="detached")
    page.get_by_text("In sync", exact=True).wait_for()
    notes = [row["value"] for row in instance.journal(incident["sys_id"])]
    assert len([text for text in notes if "Checked by a person." in text]) == 1


def test_fetch_and_open_an_incident(either: Visitor, instance: Instance, scripts: bool) -> None:
    theirs = instance.add_incident(number="INC0000042", short_description="Mail is down")
    page = either.page
    either.sign_in("agent")
    either.follow("ServiceNow")
    either.press("Fetch latest incidents")
    row = page.get_by_role("link", name="INC0000042")
    row.wait_for()
    row.click()
    page.get_by_role("heading", name="INC0000042: Mail is down").wait_for()
    if scripts:
        assert page.locator("dialog[open]").count() == 1
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert page.evaluate("document.activeElement.textContent") == "INC0000042"
    either.go(f"/servicenow/incidents/{theirs['sys_id']}")
    page.get_by_role("heading", name="INC0000042: Mail is down").wait_for()


def test_import_with_progress(either: Visitor, instance: Instance) -> None:
    for number in range(450):
        instance.add_incident(number=f"INC{number:07}", short_description=f"Trouble {number}")
    instance.latency_seconds = 0.6
    page = either.page
    either.sign_in("admin")
    either.follow("ServiceNow")
    page.get_by_label("Create tickets from these incidents").check()
    either.press("Start dry run")
    page.get_by_text("Dry run of 450 incidents").wait_for()
    either.press("Import these incidents")
    page.get_by_role("progressbar").wait_for()
    page.get_by_text("Import of 450 incidents").wait_for()
    assert page.get_by_role("progressbar").count() == 0
    either.go("/tickets")
    page.get_by_text("450 tickets").wait_for()
