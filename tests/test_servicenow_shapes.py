"""Answers of the shapes that real instances send, with values of our own, through the client."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.errors import AnswerLost, Kind, ServiceNowError
from app.integrations.servicenow.auth import OAuth
from app.integrations.servicenow_client import Query, Record, ServiceNowClient, build_slots

SYS_ID = "0123456789abcdef0123456789abcdef"
USER = "fedcba9876543210fedcba9876543210"
URL = "https://desk-test.service-now.com"
JSON = {"Content-Type": "application/json;charset=UTF-8"}
HTML = {"Content-Type": "text/html"}
CHECK_LOGS = "Check logs for error trace or enable glide.rest.debug property"
CANCELLED = "Transaction cancelled: maximum execution time exceeded"


def reference(table: str, sys_id: str) -> dict[str, str]:
    return {"link": f"{URL}/api/now/table/{table}/{sys_id}", "value": sys_id}


# Every value a string, empty references "", filled ones objects; many more fields than asked for.
INCIDENT = {
    "parent": "",
    "made_sla": "true",
    "upon_reject": "cancel",
    "child_incidents": "0",
    "number": "INC0077001",
    "sys_id": SYS_ID,
    "opened_by": reference("sys_user", USER),
    "sys_domain": reference("sys_user_group", "global"),
    "caller_id": "",
    "assignment_group": reference("sys_user_group", USER),
    "short_description": "The scanner beeps",
    "state": "1",
    "impact": "2",
    "urgency": "2",
    "priority": "3",
    "work_notes": "",
    "comments": "",
    "sys_mod_count": "0",
    "sys_updated_on": "2026-03-04 05:06:07",
    "sys_updated_by": "integration",
}


def failure(message: str, detail: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "detail": detail}, "status": "failure"}


def client_for(answer: Callable[[httpx.Request], httpx.Response]) -> ServiceNowClient:
    transport = httpx.MockTransport(answer)
    slot = httpx.Client(base_url=URL, transport=transport)
    return ServiceNowClient([slot], sleep=lambda _: None)


def fixed(status: int, body: object, headers: dict[str, str] | None = None) -> ServiceNowClient:
    content = body if isinstance(body, str) else json.dumps(body)
    return client_for(lambda _: httpx.Response(status, content=content, headers=headers or JSON))


def get_list(client: ServiceNowClient) -> object:
    return client.get_incidents(Query(), limit=5).records


def get_one(client: ServiceNowClient) -> Record:
    return client.get_incident(SYS_ID)


def create(client: ServiceNowClient) -> Record:
    return client.create_incident({"short_description": "x"})


def update(client: ServiceNowClient) -> Record:
    return client.update_incident(SYS_ID, {"state": "2"})


def test_a_record_is_read_with_its_references_as_sys_ids() -> None:
    record = get_one(fixed(200, {"result": INCIDENT}))
    assert record["number"] == "INC0077001"
    assert record["assignment_group"] == USER
    assert record["caller_id"] == ""


@pytest.mark.parametrize("extra", [{}, {"session": {"debug_logs": []}}], ids=["plain", "debug"])
def test_a_list_is_read_and_counted(extra: dict[str, Any]) -> None:
    headers = JSON | {"X-Total-Count": "73", "X-Transaction-ID": "0a1b2c3d4e5f"}
    page = fixed(200, {"result": [INCIDENT]} | extra, headers).get_incidents(Query(), limit=1)
    assert page.total == 73
    assert page.records[0]["sys_id"] == SYS_ID


@pytest.mark.parametrize(("call", "status"), [(create, 201), (update, 200)])
def test_a_write_answers_the_whole_record(
    call: Callable[[ServiceNowClient], Record], status: int
) -> None:
    headers = JSON | {"Location": f"{URL}/api/now/v1/table/incident/{SYS_ID}"}
    assert call(fixed(status, {"result": INCIDENT}, headers))["sys_id"] == SYS_ID


FAILURES = {
    "401": (401, failure("User Not Authenticated", "Required to provide Auth information")),
    "400 table": (400, failure("Invalid table incidnt", None)),
    "403 acl": (
        403,
        failure("Operation Failed", "ACL Exception Update Failed due to security constraints"),
    ),
    "403 field": (
        403,
        failure(
            "Insufficient rights to query records",
            "Field(s) present in the query do not have permission to be read",
        ),
    ),
    "404": (
        404,
        failure("No Record found", "Record doesn't exist or ACL restricts the record retrieval"),
    ),
    "429": (
        429,
        failure("Rate limit exceeded", "Rate limit of 7 requests per hour for Table API exceeded"),
    ),
    "500 java": (500, failure("Exception while executing request: null", CHECK_LOGS)),
    "500 timeout": (500, failure(CANCELLED, f"{CANCELLED} {CHECK_LOGS}")),
    "200 result and error": (
        200,
        {"result": [{"sys_id": SYS_ID}]} | failure(CANCELLED, f"{CANCELLED}. {CHECK_LOGS}"),
    ),
    "200 truncated": (
        200,
        '{"result": [{"sys_id": "0123456789abcdef"},"error": {"message": "' + CANCELLED,
    ),
    "200 hibernating": (
        200,
        '<!DOCTYPE html><html><body><div class="instance-hibernating-page"></div></body></html>',
    ),
    "202 empty": (202, ""),
    "302 login": (302, ""),
    "403 string error": (403, {"error": "access_denied: Missing required api access scope"}),
}
KINDS = {
    "401": Kind.AUTH,
    "400 table": Kind.INVALID,
    "403 acl": Kind.PERMISSION,
    "403 field": Kind.PERMISSION,
    "404": Kind.NOT_FOUND,
    "429": Kind.RATE,
    "500 java": Kind.BUSY,
    "500 timeout": Kind.BUSY,
    "200 result and error": Kind.BUSY,
    "200 truncated": Kind.BUSY,
    "200 hibernating": Kind.HIBERNATING,
    "202 empty": Kind.BUSY,
    "302 login": Kind.UNEXPECTED,
    "403 string error": Kind.PERMISSION,
}
# After these a write may have been applied.
UNKNOWN = (Kind.BUSY, Kind.HIBERNATING, Kind.UNEXPECTED)


def answered(name: str) -> ServiceNowClient:
    status, body = FAILURES[name]
    headers = HTML if isinstance(body, str) and not body.startswith("{") else JSON
    return fixed(status, body, headers)


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("call", [get_list, get_one])
def test_a_failed_read_is_an_error_of_its_kind(
    name: str, call: Callable[[ServiceNowClient], object]
) -> None:
    with pytest.raises(ServiceNowError) as caught:
        call(answered(name))
    assert caught.value.kind is KINDS[name]
    assert caught.value.message.endswith((".", "!"))
    assert caught.value.hint


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("call", [create, update])
def test_a_failed_write_says_whether_it_may_have_been_applied(
    name: str, call: Callable[[ServiceNowClient], object]
) -> None:
    with pytest.raises(ServiceNowError) as caught:
        call(answered(name))
    assert isinstance(caught.value, AnswerLost) is (KINDS[name] in UNKNOWN)


def test_a_create_answered_200_did_not_come_from_the_api() -> None:
    with pytest.raises(AnswerLost):
        create(fixed(200, {"result": INCIDENT}))


# -- the token endpoint --------------------------------------------------------------------------

TOKEN = {
    "scope": "useraccount",
    "token_type": "Bearer",
    "expires_in": 1799,
    "refresh_token": "r" * 86,
    "access_token": "t" * 86,
}


def with_oauth(status: int, body: object) -> ServiceNowClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth_token.do":
            return httpx.Response(status, json=body)
        good = request.headers["Authorization"] == f"Bearer {TOKEN['access_token']}"
        return httpx.Response(200 if good else 401, json={"result": [INCIDENT]})

    auth = OAuth(f"{URL}/oauth_token.do", "id", "secret")
    transport = httpx.MockTransport(answer)
    slots = build_slots(url=URL, auth=auth, timeout=5, count=1, transport=transport)
    return ServiceNowClient(slots, sleep=lambda _: None)


def test_a_token_is_fetched_and_used() -> None:
    assert get_list(with_oauth(200, TOKEN))


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_client", "error_description": "Invalid client_id or client_secret."},
        {"error": "invalid_grant", "error_description": "access_denied: no OAuth user set"},
        {"error_description": "access_denied", "error": "server_error"},
    ],
    ids=["client", "grant", "stock"],
)
def test_a_refused_token_is_an_error_of_the_sign_in(body: dict[str, str]) -> None:
    with pytest.raises(ServiceNowError) as caught:
        get_list(with_oauth(401, body))
    assert caught.value.kind is Kind.AUTH
    assert "SN_CLIENT_ID" in caught.value.hint
