"""Sign-in, limits, faults and paths: rows of docs/servicenow.md 8 by their numbers."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.simulator import Instance
from tests.simulator.conftest import TABLE, created, failure, result

TOKEN = "/oauth_token.do"
NO_AUTH = (401, "User Not Authenticated", "Required to provide Auth information")


def token_form(instance: Instance, **fields: str) -> dict[str, str]:
    client = {
        "client_id": instance.accounts.client_id,
        "client_secret": instance.accounts.client_secret,
    }
    return client | {"grant_type": "client_credentials"} | fields


@pytest.mark.parametrize("auth", [None, ("copilot", "wrong"), ("nobody", "copilot-secret")])
def test_row_01_bad_credentials_are_401(
    stranger: httpx.Client, auth: tuple[str, str] | None
) -> None:
    response = stranger.get(TABLE, auth=auth)
    assert failure(response) == NO_AUTH
    assert response.headers["WWW-Authenticate"] == 'BASIC realm="Service-now"'
    assert "X-Is-Logged-In" not in response.headers


def test_row_02_a_good_grant_gets_a_token_that_is_handed_out_again(
    stranger: httpx.Client, instance: Instance
) -> None:
    form = token_form(instance, grant_type="password", username="copilot")
    form["password"] = instance.accounts.password
    first, second = (stranger.post(TOKEN, data=form).json() for _ in range(2))
    assert first["token_type"] == "Bearer"
    assert first["scope"] == "useraccount"
    assert first["refresh_token"]
    assert first["access_token"] == second["access_token"]
    assert second["expires_in"] <= first["expires_in"] <= 1799

    machine = stranger.post(TOKEN, data=token_form(instance)).json()
    assert "refresh_token" not in machine
    bearer = {"Authorization": f"Bearer {machine['access_token']}"}
    assert stranger.get(TABLE, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"client_secret": "wrong"}, {"grant_type": "password"}, {"grant_type": "refresh_token"}],
)
def test_row_03_a_bad_grant_is_401_without_a_reason(
    stranger: httpx.Client, instance: Instance, wrong: dict[str, str]
) -> None:
    response = stranger.post(TOKEN, data=token_form(instance, **wrong))
    assert response.status_code == 401
    assert response.json() == {"error_description": "access_denied", "error": "server_error"}


def test_row_03_newer_instances_name_the_rfc_code(
    stranger: httpx.Client, instance: Instance
) -> None:
    instance.accounts.rfc_errors = True
    response = stranger.post(TOKEN, data=token_form(instance, client_secret="wrong"))
    assert response.json()["error"] == "invalid_client"


def test_row_04_an_expired_token_is_401(stranger: httpx.Client, instance: Instance) -> None:
    token = stranger.post(TOKEN, data=token_form(instance)).json()["access_token"]
    instance.accounts.expire_tokens()
    response = stranger.get(TABLE, headers={"Authorization": f"Bearer {token}"})
    assert failure(response) == NO_AUTH


@pytest.mark.parametrize(
    ("method", "path"), [("GET", TABLE), ("POST", TABLE), ("PATCH", f"{TABLE}/x"), ("POST", TOKEN)]
)
def test_row_14_a_hibernating_instance_answers_a_page_to_everything(
    http: httpx.Client, instance: Instance, method: str, path: str
) -> None:
    instance.faults.hibernate()
    response = http.request(method, path)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<title>Instance Hibernating page</title>" in response.text


def test_row_15_a_rate_rule_says_when_to_come_back(http: httpx.Client, instance: Instance) -> None:
    instance.rate_limit = 2
    allowed = [http.get(TABLE) for _ in range(2)]
    refused = http.get(TABLE)
    assert [response.status_code for response in allowed] == [200, 200]
    assert all(response.headers["X-RateLimit-Limit"] == "2" for response in allowed)
    assert failure(refused)[:2] == (429, "Rate limit exceeded")
    assert int(refused.headers["Retry-After"]) > 0
    assert int(refused.headers["X-RateLimit-Reset"]) > time.time()
    assert refused.headers["X-RateLimit-Rule"]


def test_row_16_a_semaphore_overflow_has_no_rate_headers(
    http: httpx.Client, instance: Instance
) -> None:
    instance.faults.semaphore_full()
    response = http.get(TABLE)
    assert response.status_code == 429
    assert "X-RateLimit-Limit" not in response.headers
    assert "Retry-After" not in response.headers
    assert "json" not in response.headers.get("Content-Type", "")


def test_row_17_a_cancelled_list_has_result_and_error(
    http: httpx.Client, instance: Instance
) -> None:
    created(http)
    instance.faults.result_and_error()
    body = http.get(TABLE).json()
    assert "result" in body
    assert "Transaction cancelled" in body["error"]["message"]


def test_row_17_or_is_cut_and_ends_with_the_error(http: httpx.Client, instance: Instance) -> None:
    created(http)
    instance.faults.cut_json()
    response = http.get(TABLE)
    assert response.status_code == 200
    assert "Transaction cancelled" in response.text
    with pytest.raises(ValueError, match="line 1"):
        response.json()


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("applied", [False, True])
def test_row_18_the_balancer_answers_html_whether_or_not_the_write_was_applied(
    http: httpx.Client, instance: Instance, status: int, applied: bool
) -> None:
    instance.faults.fail_next(status=status, applied=applied)
    response = http.post(TABLE, json={"short_description": "Test"})
    assert response.status_code == status
    assert response.text.startswith("<html>")
    assert len(instance.incidents) == int(applied)


@pytest.mark.parametrize(("kind", "left"), [("drop_before", 0), ("lose_reply", 1)])
def test_row_18_a_connection_drops_before_or_after_the_write(
    http: httpx.Client, instance: Instance, kind: str, left: int
) -> None:
    instance.faults.add(kind, method="POST")
    with pytest.raises(httpx.TransportError):
        http.post(TABLE, json={"short_description": "Test"})
    assert len(instance.incidents) == left


def test_row_18_a_late_commit_is_applied_after_the_503(
    http: httpx.Client, instance: Instance
) -> None:
    instance.faults.late_commit(0.1)
    assert http.post(TABLE, json={"short_description": "Test"}).status_code == 503
    assert not instance.incidents
    time.sleep(0.15)
    assert len(instance.incidents) == 1


def test_row_23_unknown_tables_and_paths_are_400(http: httpx.Client) -> None:
    assert failure(http.get("/api/now/table/nosuch")) == (400, "Invalid table nosuch", "")
    assert failure(http.get("/api/now/nosuch"))[:2] == (
        400,
        "Requested URI does not represent any resource",
    )


def test_row_24_a_closed_table_is_403(http: httpx.Client) -> None:
    assert failure(http.get("/api/now/table/sys_dictionary")) == (
        403,
        "User Not Authorized",
        "User is unauthorized to access table: sys_dictionary",
    )


def test_row_31_every_answer_sets_the_session_cookies(http: httpx.Client) -> None:
    names = {line.split("=")[0] for line in http.get(TABLE).headers.get_list("set-cookie")}
    assert {"JSESSIONID", "glide_user_route", "glide_session_store"} <= names


def test_row_31_calls_of_one_session_wait_for_each_other(
    http: httpx.Client, instance: Instance
) -> None:
    http.get(TABLE)
    instance.latency_seconds = 0.1
    session = {"Cookie": f"JSESSIONID={http.cookies['JSESSIONID']}"}
    with ThreadPoolExecutor(3) as pool:
        started = time.monotonic()
        list(pool.map(lambda _: http.get(TABLE, headers=session), range(3)))
        shared = time.monotonic() - started
    assert shared >= 0.3

    instance.empty_answer_for_shared_session = True
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: http.get(TABLE, headers=session), range(2)))
    assert sorted(response.status_code for response in found) == [200, 202]


def test_row_37_a_body_over_ten_mebibytes_is_refused(http: httpx.Client) -> None:
    body = b'{"description":"' + b"x" * 10_485_760 + b'"}'
    response = http.post(TABLE, content=body, headers={"Content-Type": "application/json"})
    status, message, detail = failure(response)
    assert (status, message) == (400, "Exception while reading request")
    assert detail.startswith("Rejected large REST payload with content-length = 104857")


def test_row_38_a_long_address_is_not_answered_in_json(http: httpx.Client) -> None:
    response = http.get(TABLE, params={"sysparm_query": "number=" + "x" * 10_000})
    assert response.status_code == 414
    assert response.headers["Content-Type"].startswith("text/html")


def test_faults_and_state_are_within_reach_of_other_processes(
    http: httpx.Client, instance: Instance
) -> None:
    assert http.post("/_control/faults", json={"kind": "fail", "status": 502}).status_code == 200
    assert http.get(TABLE).status_code == 502
    assert http.post("/_control/faults", json={"kind": "nosuch"}).status_code == 422
    created(http)
    assert http.get("/_control/state").json()["incidents"] == len(result(http.get(TABLE)))
