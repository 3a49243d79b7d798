"""/api/sn as a script uses it: answers, status codes, and errors as problem+json."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.simulator import Instance
from tests.conftest import Clock, script
from tests.desk import Desk
from tests.ticking import tick

CREATE = "/api/sn/incidents/create-from-ticket/"


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem of an error answer, after its shape was checked."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def test_health_of_a_connection_that_works(api: TestClient, instance: Instance) -> None:
    body = api.get("/api/sn/health").json()
    assert (body["configured"], body["connected"], body["missing"]) == (True, True, [])
    assert body["auth_type"] == "basic"
    assert body["latency_ms"] >= 0
    assert body["last_ok_at"] == "2026-11-24T09:00:00Z"
    assert {check["status"] for check in body["checks"]} == {"passed"}
    api.get("/api/sn/health")
    assert len(instance.requests) == 1


def test_health_is_asked_again_after_half_a_minute_and_names_the_trouble(
    api: TestClient, instance: Instance, clock: Clock
) -> None:
    api.get("/api/sn/health")
    instance.accounts.password = "changed"
    clock.forward(seconds=31)
    response = api.get("/api/sn/health")
    body = response.json()
    assert response.status_code == 200
    assert (body["connected"], body["last_error_code"]) == (False, "auth")
    assert "copilot-secret" not in response.text


def test_without_settings_health_is_200_and_everything_else_503(
    unconfigured: FastAPI,
) -> None:
    api = script(unconfigured)
    ticket = Desk(unconfigured).ticket()
    health = api.get("/api/sn/health")
    assert (health.status_code, health.json()["configured"]) == (200, False)
    assert health.json()["missing"] == ["SN_INSTANCE_URL", "SN_USERNAME", "SN_PASSWORD"]
    for response in (
        api.get("/api/sn/incidents"),
        api.get(f"/api/sn/incidents/{'0' * 32}"),
        api.post(f"{CREATE}{ticket.id}"),
        api.patch(f"/api/sn/incidents/{'0' * 32}/sync-ticket/{ticket.id}"),
        api.post("/api/sn/sync/pull", json={}),
    ):
        body = problem(response, 503, "servicenow_not_configured")
        assert body["missing"] == ["SN_INSTANCE_URL", "SN_USERNAME", "SN_PASSWORD"]
        assert "Retry-After" not in response.headers


def test_incidents_are_live_latest_first_and_marked(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket(subject="Ours")
    api.post(f"{CREATE}{ticket.id}")
    instance.add_incident(
        number="INC1", short_description="Older", sys_updated_on="2020-01-01 00:00:00", state="2"
    )
    body = api.get("/api/sn/incidents").json()
    assert (body["count"], body["total"]) == (2, 2)
    ours, older = body["incidents"]
    assert (ours["short_description"], ours["ticket_id"]) == ("Ours", ticket.id)
    assert (older["state"], older["state_label"]) == ("2", "In Progress")
    assert older["updated_on"] == "2020-01-01T00:00:00Z"
    assert set(older) == {
        "sys_id",
        "number",
        "short_description",
        "description",
        "state",
        "state_label",
        "priority",
        "priority_label",
        "category",
        "assignment_group",
        "caller",
        "opened_on",
        "updated_on",
        "url",
        "ticket_id",
    }


@pytest.mark.parametrize("state", ["2", "In Progress", "in progress"])
def test_a_state_applies_to_each_group_of_a_query(
    api: TestClient, instance: Instance, state: str
) -> None:
    instance.add_incident(number="INC1", category="network", state="2")
    instance.add_incident(number="INC2", category="network", state="1")
    instance.add_incident(number="INC3", category="software", state="2")
    instance.add_incident(number="INC4", category="hardware", state="2")
    parameters = {"query": "category=network^NQcategory=software", "state": state}
    body = api.get("/api/sn/incidents", params=parameters).json()
    assert {row["number"] for row in body["incidents"]} == {"INC1", "INC3"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "many"},
        {"state": "sleeping"},
        {"query": "nonsense"},
        {"query": "active=javascript:gs.x()"},
        {"query": "state=1^ORDERBYnumber"},
        {"query": "a" * 5000},
    ],
)
def test_bad_input_of_a_list_is_422(
    api: TestClient, instance: Instance, parameters: dict[str, str]
) -> None:
    response = api.get("/api/sn/incidents", params=parameters)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert not instance.requests


def test_one_incident_comes_with_its_journal(api: TestClient, instance: Instance) -> None:
    theirs = instance.add_incident(number="INC1")
    instance.add_journal_entry(theirs["sys_id"], "comments", "Any news?", by="abel.tuter")
    instance.add_journal_entry(theirs["sys_id"], "work_notes", "Waiting", by="fred.luddy")
    body = api.get(f"/api/sn/incidents/{theirs['sys_id']}").json()
    assert [entry["body"] for entry in body["comments"]] == ["Any news?"]
    assert [entry["author"] for entry in body["work_notes"]] == ["fred.luddy"]
    problem(api.get(f"/api/sn/incidents/{'0' * 32}"), 404, "servicenow_not_found")
    problem(api.get("/api/sn/incidents/nosuch"), 422, "invalid")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("fail", 503, "busy"),
        ("rate_limit", 503, "rate"),
        ("unauthorized", 502, "auth"),
        ("hibernate", 502, "hibernating"),
        ("login_redirect", 502, "unexpected"),
        ("drop_before", 503, "network"),
    ],
)
def test_trouble_of_the_instance_is_never_the_scripts_fault(
    api: TestClient, instance: Instance, fault: str, status: int, code: str
) -> None:
    instance.faults.add(fault, times=None)
    response = api.get("/api/sn/incidents")
    problem(response, status, f"servicenow_{code}")
    assert ("Retry-After" in response.headers) is (status == 503)


def test_create_is_201_then_200_with_the_same_incident(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    first = api.post(f"{CREATE}{ticket.id}")
    again = api.post(f"{CREATE}{ticket.id}")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["created"], again.json()["created"]) == (True, False)
    assert first.json()["sys_id"] == again.json()["sys_id"]
    assert first.json()["state"] == "linked"
    assert set(first.json()) == {
        "ticket_id",
        "state",
        "created",
        "sys_id",
        "number",
        "url",
        "attempts",
        "next_try_at",
        "error",
        "duplicates",
    }
    problem(api.post(f"{CREATE}999"), 404, "not_found")
    problem(api.post(f"{CREATE}x"), 422, "invalid")
    problem(api.post(f"{CREATE}{2**40}"), 422, "invalid")


def test_a_create_that_is_owed_is_202_with_the_next_try(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.faults.rate_limit(retry_after=120)
    response = api.post(f"{CREATE}{ticket.id}")
    body = response.json()
    assert (response.status_code, body["state"], body["attempts"]) == (202, "owed", 1)
    assert body["next_try_at"] == "2026-11-24T09:02:00Z"
    assert "rate limit" in body["error"]
    columns = api.get(f"/api/tickets/{ticket.id}").json()
    assert (columns["sn_sync_status"], columns["sn_last_error"]) == ("failed", body["error"])


def test_sync_ticket_sends_the_status_and_a_work_note_once(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    sys_id = api.post(f"{CREATE}{ticket.id}").json()["sys_id"]
    api.patch(f"/api/tickets/{ticket.id}", json={"status": "in_progress"})
    path = f"/api/sn/incidents/{sys_id}/sync-ticket/{ticket.id}"
    for _ in range(2):
        response = api.patch(path, json={"work_note": "From a script"})
        assert (response.status_code, response.json()["state"]) == (200, "linked")
    assert instance.incidents[sys_id]["state"] == "2"
    notes = [row["value"] for row in instance.journal(sys_id) if "From a script" in row["value"]]
    assert len(notes) == 1
    assert api.patch(path).status_code == 200


def test_sync_ticket_with_another_incident_is_409(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    path = f"/api/sn/incidents/{'0' * 32}/sync-ticket/{ticket.id}"
    assert "not linked" in problem(api.patch(path), 409, "conflict")["detail"]
    problem(api.patch(path, json={"nosuch": 1}), 422, "invalid")
    problem(api.patch(path.replace(str(ticket.id), "999")), 404, "not_found")


def test_the_outbox_shows_what_is_owed_and_retries_it(
    api: TestClient, instance: Instance, desk: Desk, clock: Clock, app: FastAPI
) -> None:
    ticket = desk.ticket()
    instance.rules.write_denied = True
    assert api.post(f"{CREATE}{ticket.id}").json()["state"] == "blocked"
    (item,) = api.get("/api/sn/outbox").json()["items"]
    assert (item["kind"], item["state"], item["ticket_id"]) == ("create", "blocked", ticket.id)
    clock.forward(hours=5)
    tick(app.state.services.servicenow)
    assert not instance.incidents

    instance.rules.write_denied = False
    response = api.post(f"/api/sn/outbox/{item['id']}/retry")
    assert (response.status_code, response.json()["state"]) == (200, "linked")
    assert api.get("/api/sn/outbox").json()["items"] == []
    problem(api.post("/api/sn/outbox/999/retry"), 404, "not_found")


def test_a_push_is_discarded_with_a_reason(
    api: TestClient, instance: Instance, desk: Desk, clock: Clock, app: FastAPI
) -> None:
    ticket = desk.ticket()
    api.post(f"{CREATE}{ticket.id}")
    desk.note(ticket.id, "Not for them", internal=True)
    instance.rules.write_denied = True
    tick(app.state.services.servicenow)
    (item,) = api.get("/api/sn/outbox").json()["items"]
    path = f"/api/sn/outbox/{item['id']}/discard"
    problem(api.post(path, json={"reason": " "}), 422, "invalid")
    response = api.post(path, json={"reason": "It names a person"})
    assert (response.status_code, response.json()["state"]) == (200, "linked")
    problem(api.post(path, json={"reason": "again"}), 409, "conflict")
    problem(api.post("/api/sn/outbox/999/discard", json={"reason": "x"}), 404, "not_found")

    instance.rules.write_denied = False
    sys_id = response.json()["sys_id"]
    api.patch(f"/api/sn/incidents/{sys_id}/sync-ticket/{ticket.id}")
    assert not [row for row in instance.journal(sys_id) if "Not for them" in row["value"]]


def test_a_push_that_may_have_arrived_cannot_be_discarded(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.faults.add("fail", method="POST", path="/incident")
    assert api.post(f"{CREATE}{ticket.id}").json()["state"] == "unconfirmed"
    (item,) = api.get("/api/sn/outbox").json()["items"]
    refused = api.post(f"/api/sn/outbox/{item['id']}/discard", json={"reason": "x"})
    assert "may have arrived" in problem(refused, 409, "conflict")["detail"]


def test_a_discarded_create_can_be_asked_for_again(
    api: TestClient, instance: Instance, desk: Desk
) -> None:
    ticket = desk.ticket()
    instance.rules.aborting_rule = "No"
    api.post(f"{CREATE}{ticket.id}")
    (item,) = api.get("/api/sn/outbox").json()["items"]
    state = api.post(f"/api/sn/outbox/{item['id']}/discard", json={"reason": "x"}).json()["state"]
    assert state == "none"
    instance.rules.aborting_rule = None
    assert api.post(f"{CREATE}{ticket.id}").status_code == 201
    assert len(instance.incidents) == 1


def test_errors_have_one_shape_and_say_what_to_do(api: TestClient, app: FastAPI) -> None:
    stranger = TestClient(app)
    body = problem(stranger.get("/api/sn/health"), 401, "sign_in_needed")
    assert "token" in body["detail"]
    problem(api.get("/api/nosuch"), 404, "not_found")
    problem(api.delete("/api/sn/health"), 405, "method_not_allowed")
    broken = api.post(
        "/api/tickets", content=b'{"subject": "\xff"}', headers={"Content-Type": "application/json"}
    )
    problem(broken, broken.status_code, broken.json()["code"])
    assert broken.status_code in (400, 422)


def test_openapi_describes_the_doors(app: FastAPI) -> None:
    schema = TestClient(app).get("/openapi.json").json()
    assert "/api/sn/incidents/create-from-ticket/{ticket_id}" in schema["paths"]
    assert not [path for path in schema["paths"] if not path.startswith("/api/")]
    assert TestClient(app).get("/docs").status_code == 404


def test_a_read_that_failed_does_not_say_that_it_is_repeated(
    api: TestClient, instance: Instance
) -> None:
    instance.faults.add("fail", times=None, status=503)
    answer = api.get("/api/sn/incidents")
    assert answer.status_code == 503
    assert answer.json()["hint"].startswith("Try again later")
