"""Creates, changes, journals and rules: rows of docs/servicenow.md 8 by their numbers."""

import time

import httpx
import pytest

from app.simulator import Instance, RunningSimulator
from tests.simulator.conftest import TABLE, created, failure, result

POLICY = (
    "Data Policy Exception: \n\tThe following fields are mandatory: Resolution code, Close notes"
)


def changed(http: httpx.Client, sys_id: str, **fields: str) -> dict[str, str]:
    response = http.patch(f"{TABLE}/{sys_id}", json=fields)
    assert response.status_code == 200, response.text
    record: dict[str, str] = result(response)
    return record


def test_row_07_a_create_fills_in_defaults(
    http: httpx.Client, running_simulator: RunningSimulator
) -> None:
    response = http.post(TABLE, json={"short_description": "Mail", "impact": "1", "urgency": "2"})
    record = result(response)
    assert response.status_code == 201
    location = f"{running_simulator.url}{TABLE}/{record['sys_id']}"
    assert response.headers["Location"] == location
    assert record["number"].startswith("INC001")
    assert (record["state"], record["priority"], record["category"]) == ("1", "2", "inquiry")
    assert record["comments"] == record["work_notes"] == ""


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_row_08_a_change_is_partial_and_counted(http: httpx.Client, method: str) -> None:
    before = created(http, description="Kept")
    path = f"{TABLE}/{before['sys_id']}"
    after = result(http.request(method, path, json={"short_description": "New"}))
    assert (after["short_description"], after["description"]) == ("New", "Kept")
    assert after["sys_mod_count"] == "1"
    assert after["sys_updated_by"] == "copilot"

    again = result(http.request(method, path, json={"short_description": "New"}))
    assert again["sys_mod_count"] == "1"


@pytest.mark.parametrize("state", ["6", "7"])
def test_row_09_resolving_needs_close_data(http: httpx.Client, state: str) -> None:
    path = f"{TABLE}/{created(http)['sys_id']}"
    assert failure(http.patch(path, json={"state": state})) == (403, "Operation Failed", POLICY)
    close = {"close_code": "User error", "close_notes": "Done"}
    assert result(http.patch(path, json={"state": state} | close))["state"] == state


def test_row_09_the_labels_are_the_instances_own(http: httpx.Client, instance: Instance) -> None:
    instance.rules.mandatory_labels = {"close_code": "Wie", "close_notes": "Warum"}
    response = http.patch(f"{TABLE}/{created(http)['sys_id']}", json={"state": "6"})
    assert failure(response)[2].endswith("mandatory: Wie, Warum")


def test_row_11_unknown_fields_of_a_body_are_ignored(http: httpx.Client) -> None:
    assert "nosuch" not in created(http, nosuch="1")


def test_row_12_journals_are_write_only_and_read_elsewhere(http: httpx.Client) -> None:
    sys_id = created(http)["sys_id"]
    for text in ("first", "second"):
        assert changed(http, sys_id, work_notes=text)["work_notes"] == ""
    rows = result(
        http.get(
            "/api/now/table/sys_journal_field",
            params={"sysparm_query": f"element_id={sys_id}^element=work_notes"},
        )
    )
    assert {row["value"] for row in rows} == {"first", "second"}
    shown = result(http.get(f"{TABLE}/{sys_id}?sysparm_display_value=true"))["work_notes"]
    assert shown.index("second") < shown.index("first")
    assert "Copilot Integration (Work notes)" in shown


def test_a_closed_journal_shows_no_rows_and_may_count_them(
    http: httpx.Client, instance: Instance
) -> None:
    changed(http, created(http)["sys_id"], work_notes="first")
    instance.journal_readable = False
    for counted, total in ((False, "0"), (True, "1")):
        instance.journal_counted = counted
        answer = http.get("/api/now/table/sys_journal_field")
        assert (result(answer), answer.headers["X-Total-Count"]) == ([], total)


def test_row_13_the_same_post_twice_makes_two_incidents(http: httpx.Client) -> None:
    numbers = {created(http, short_description="Same")["number"] for _ in range(2)}
    assert len(numbers) == 2


def test_row_21_a_write_rule_of_access_refuses(http: httpx.Client, instance: Instance) -> None:
    sys_id = created(http)["sys_id"]
    instance.rules.write_denied = True
    response = http.patch(f"{TABLE}/{sys_id}", json={"state": "2"})
    detail = "ACL Exception Update Failed due to security constraints"
    assert failure(response) == (403, "Operation Failed", detail)


def test_row_22_a_business_rule_aborts_with_its_name(
    http: httpx.Client, instance: Instance
) -> None:
    instance.rules.aborting_rule = "No VIPs"
    status, message, detail = failure(http.post(TABLE, json={"short_description": "x"}))
    assert (status, message) == (403, "Operation Failed")
    assert detail.startswith(
        "Operation against file 'incident' was aborted by Business Rule 'No VIPs^"
    )
    assert detail.endswith("Business Rule Stack:No VIPs")


def test_row_25_a_delete_is_empty_and_then_404(http: httpx.Client) -> None:
    path = f"{TABLE}/{created(http)['sys_id']}"
    response = http.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert failure(http.delete(path))[0] == 404


def test_row_26_a_long_short_description_is_cut(http: httpx.Client) -> None:
    record = created(http, short_description="x" * 200, description="y" * 5000)
    assert (len(record["short_description"]), len(record["description"])) == (160, 5000)


def test_row_27_an_unknown_choice_is_not_stored_and_empty_does_not_clear(
    http: httpx.Client, instance: Instance
) -> None:
    record = created(http, category="access", state="2")
    assert record["category"] == "inquiry"
    assert changed(http, record["sys_id"], state="")["state"] == "2"
    instance.rules.store_unknown_choices = True
    assert created(http, category="access")["category"] == "access"


def test_row_28_a_bogus_reference_is_stored_and_echoed(http: httpx.Client) -> None:
    reference = created(http, assigned_to="f" * 32)["assigned_to"]
    assert reference["value"] == "f" * 32
    assert reference["link"].endswith("/sys_user/" + "f" * 32)


def test_row_29_priority_comes_from_impact_and_urgency(http: httpx.Client) -> None:
    record = created(http, priority="1", impact="3", urgency="3")
    assert record["priority"] == "5"
    assert changed(http, record["sys_id"], priority="1")["priority"] == "5"


def test_row_32_flows_work_on_the_record_moments_later(
    http: httpx.Client, instance: Instance
) -> None:
    instance.effects_after_seconds = 0.05
    record = created(http)
    assert record["assignment_group"] == ""
    time.sleep(0.1)
    after = result(http.get(f"{TABLE}/{record['sys_id']}"))
    assert after["assignment_group"] != ""
    assert (after["sys_updated_by"], after["sys_mod_count"]) == ("system", "1")


def test_row_35_a_sys_id_of_the_clients_choice_is_taken_once(http: httpx.Client) -> None:
    assert created(http, sys_id="a" * 32)["sys_id"] == "a" * 32
    response = http.post(TABLE, json={"sys_id": "a" * 32})
    status, message, detail = failure(response)
    assert (status, message) == (403, "Operation Failed")
    assert detail.startswith("Error during insert of incident (INC")


@pytest.mark.parametrize("body", ["{", "7", ""])
def test_a_body_that_is_no_object_is_refused_or_empty(http: httpx.Client, body: str) -> None:
    response = http.post(TABLE, content=body, headers={"Content-Type": "application/json"})
    if body:
        assert failure(response)[2] == "The payload is not valid JSON."
    else:
        assert response.status_code == 201
