"""The client against an instance over real HTTP: paging, retries, sign-in, sessions, slots."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from app.errors import (
    AnswerLost,
    Kind,
    ServiceNowError,
    ServiceNowRejected,
    ServiceNowUnavailable,
)
from app.integrations.servicenow.answers import http_date
from app.integrations.servicenow.auth import BasicAuth, OAuth
from app.integrations.servicenow.rate_limiter import RateLimiter
from app.integrations.servicenow_client import Query, ServiceNowClient, build_slots
from app.simulator import Instance, RunningSimulator


class Sleeps(list[float]):
    """Waits that were asked for, and not waited."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


Connect = Callable[..., ServiceNowClient]


@pytest.fixture
def connect(running_simulator: RunningSimulator) -> Iterator[Connect]:
    """Clients for the instance, closed when the test is over."""
    made: list[ServiceNowClient] = []

    def client(
        auth: httpx.Auth, *, url: str = "", count: int = 4, **options: Any
    ) -> ServiceNowClient:
        slots = build_slots(url=url or running_simulator.url, auth=auth, timeout=5, count=count)
        made.append(ServiceNowClient(slots, **({"click_seconds": 5} | options)))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def basic(instance: Instance) -> BasicAuth:
    return BasicAuth(instance.accounts.user, instance.accounts.password)


@pytest.fixture
def client(connect: Connect, basic: BasicAuth, sleeps: Sleeps) -> ServiceNowClient:
    pace = RateLimiter(lambda: datetime.now(UTC) + timedelta(seconds=sum(sleeps)))
    return connect(basic, sleep=sleeps, rate_limiter=pace)


def oauth(running: RunningSimulator, instance: Instance, **grant: Any) -> OAuth:
    accounts = instance.accounts
    url = f"{running.url}/oauth_token.do"
    return OAuth(url, accounts.client_id, accounts.client_secret, **grant)


# -- reading and writing -----------------------------------------------------------------------


def test_an_incident_is_created_changed_and_read(client: ServiceNowClient) -> None:
    made = client.create_incident({"short_description": "Mail is down", "impact": "1"})
    changed = client.update_incident(made["sys_id"], {"state": "2"})
    assert (changed["number"], changed["state"]) == (made["number"], "2")
    assert client.get_incident(made["sys_id"])["state"] == "2"


def test_every_read_names_its_fields_and_limit(
    client: ServiceNowClient, instance: Instance
) -> None:
    client.get_incidents(Query().equals("state", "1").order_by("sys_id"), limit=7)
    query = instance.requests[-1]["query"]
    assert query["sysparm_query"] == "state=1^ORDERBYsys_id"
    assert query["sysparm_limit"] == "7"
    assert query["sysparm_exclude_reference_link"] == "true"
    assert query["sysparm_display_value"] == "false"
    assert "short_description" in query["sysparm_fields"]


def test_a_condition_the_instance_drops_finds_nobody_by_mistake(
    client: ServiceNowClient, instance: Instance
) -> None:
    instance.add_incident(number="INC1", correlation_id="somebody else's")
    instance.hidden_fields = {"incident": frozenset({"correlation_id"})}
    assert client.find_incidents("correlation_id", "ours") == []


def test_users_are_found_by_e_mail_in_any_case_and_only_active_ones(
    client: ServiceNowClient, instance: Instance
) -> None:
    instance.add_user(
        name="Old Abel", email="Abel.Tuter@example.com", user_name="old", active="false"
    )
    found = client.find_users_by_email("ABEL.tuter@example.com")
    assert [row["name"] for row in found] == ["Abel Tuter"]


def test_small_lists_are_read_to_their_end(client: ServiceNowClient, instance: Instance) -> None:
    for number in range(230):
        instance.add_group(name=f"Group {number:03}")
    assert len(client.groups()) == 235
    assert [row["value"] for row in client.choices("state")] == ["1", "2", "3", "6", "7", "8"]


def test_a_bad_sys_id_never_becomes_a_path(client: ServiceNowClient, instance: Instance) -> None:
    for bad in ("../../sys_user", "x", "a" * 31 + "/", ""):
        with pytest.raises(ServiceNowRejected):
            client.get_incident(bad)
    assert not instance.requests


# -- trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fail", "cut_json", "result_and_error", "drop_before"])
def test_a_read_is_repeated_after_passing_trouble(
    client: ServiceNowClient, instance: Instance, sleeps: Sleeps, kind: str
) -> None:
    instance.add_incident(number="INC1")
    instance.faults.add(kind, times=2)
    page = client.get_incidents(Query(), limit=5)
    assert [row["number"] for row in page.records] == ["INC1"]
    assert len(sleeps) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed_in_both_forms(
    client: ServiceNowClient, instance: Instance, sleeps: Sleeps, form: str
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    instance.faults.add("rate_limit", retry_after="3" if form == "seconds" else later)
    client.get_incidents(Query(), limit=5)
    assert list(sleeps) == [pytest.approx(3, abs=1.5)]


def test_a_long_retry_after_is_told_instead_of_waited(
    client: ServiceNowClient, instance: Instance, sleeps: Sleeps
) -> None:
    instance.faults.rate_limit(retry_after=900)
    with pytest.raises(ServiceNowUnavailable) as caught:
        client.get_incidents(Query(), limit=5)
    assert (caught.value.kind, caught.value.retry_after) == (Kind.RATE, 900)
    assert sleeps == []


@pytest.mark.parametrize(
    "kind", ["fail", "cut_json", "result_and_error", "lose_reply", "hibernate"]
)
def test_a_write_is_sent_once_whatever_comes_back(
    client: ServiceNowClient, instance: Instance, kind: str
) -> None:
    instance.faults.add(kind, method="POST")
    with pytest.raises(AnswerLost):
        client.create_incident({"short_description": "x"})
    assert [call["method"] for call in instance.requests].count("POST") <= 1


def test_nothing_listening_was_never_sent(connect: Connect, basic: BasicAuth) -> None:
    client = connect(basic, url="http://127.0.0.1:9")
    with pytest.raises(ServiceNowUnavailable) as caught:
        client.create_incident({"short_description": "x"})
    assert caught.value.kind is Kind.NETWORK


def test_a_click_has_one_deadline_over_all_its_calls(
    connect: Connect, basic: BasicAuth, instance: Instance
) -> None:
    client = connect(basic, click_seconds=0.5)
    instance.faults.hang(0.3)
    with client.click():
        client.whoami()
        with pytest.raises(ServiceNowError):
            client.whoami()


def test_a_redirect_is_not_followed(client: ServiceNowClient, instance: Instance) -> None:
    instance.faults.login_redirect()
    with pytest.raises(ServiceNowError) as caught:
        client.get_incidents(Query(), limit=1)
    assert caught.value.kind is Kind.UNEXPECTED
    assert len(instance.requests) == 1


# -- sign-in -----------------------------------------------------------------------------------

GRANTS = {
    "client_credentials": {},
    "password": {"username": "copilot", "password": "copilot-secret"},
    "refresh_token": {"refresh_token": "refresh-secret", "username": "x", "password": "y"},
}


@pytest.mark.parametrize("grant", GRANTS)
def test_each_grant_signs_in(
    connect: Connect, running_simulator: RunningSimulator, instance: Instance, grant: str
) -> None:
    instance.accounts.basic_allowed = False
    client = connect(oauth(running_simulator, instance, **GRANTS[grant]))
    client.whoami()
    assert [call["path"] for call in instance.requests].count("/oauth_token.do") == 1


def test_a_dead_token_is_fetched_anew_once_even_for_a_write(
    connect: Connect, running_simulator: RunningSimulator, instance: Instance
) -> None:
    client = connect(oauth(running_simulator, instance))
    client.whoami()
    instance.accounts.expire_tokens()
    assert client.create_incident({"short_description": "x"})["number"]
    assert len(instance.incidents) == 1


def test_a_token_is_renewed_before_it_ends(
    connect: Connect, running_simulator: RunningSimulator, instance: Instance
) -> None:
    now = [0.0]
    auth = OAuth(
        f"{running_simulator.url}/oauth_token.do",
        instance.accounts.client_id,
        instance.accounts.client_secret,
        monotonic=lambda: now[0],
    )
    client = connect(auth)
    for moment in (0.0, 1000.0, 1790.0):
        now[0] = moment
        client.whoami()
    assert [call["path"] for call in instance.requests].count("/oauth_token.do") == 2


def test_many_callers_share_one_token_request(
    connect: Connect, running_simulator: RunningSimulator, instance: Instance
) -> None:
    client = connect(oauth(running_simulator, instance))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.whoami(), range(8)))
    assert [call["path"] for call in instance.requests].count("/oauth_token.do") == 1


def test_cookies_of_an_old_identity_are_not_sent_with_a_new_token(
    running_simulator: RunningSimulator, instance: Instance
) -> None:
    seen: list[str] = []
    slots = build_slots(
        url=running_simulator.url, auth=oauth(running_simulator, instance), timeout=5, count=1
    )
    slots[0].event_hooks = {"request": [lambda r: seen.append(r.headers.get("Cookie", ""))]}
    client = ServiceNowClient(slots)
    for _ in range(3):
        client.whoami()
    old = seen[-1]
    instance.accounts.expire_tokens()
    client.whoami()
    with_new_token = seen[-1]
    client.whoami()
    client.close()
    assert "JSESSIONID" in old
    assert with_new_token == ""
    assert old not in seen[-1:]


def test_no_secret_is_in_an_error_a_log_or_a_repr(
    connect: Connect,
    running_simulator: RunningSimulator,
    instance: Instance,
    caplog: pytest.LogCaptureFixture,
) -> None:
    canary = "canary-7f3a"
    caplog.set_level("DEBUG")
    told: list[str] = []
    for auth in (
        BasicAuth("copilot", canary),
        OAuth(f"{running_simulator.url}/oauth_token.do", "id", canary, refresh_token=canary),
    ):
        client = connect(auth)
        with pytest.raises(ServiceNowError) as caught:
            client.create_incident({"description": canary})
        error = caught.value
        told += [str(error), repr(error), error.hint, str(error.details), repr(client), repr(auth)]
        told += [record.getMessage() + str(vars(record)) for record in caplog.records]
    assert not [text for text in told if canary in text]


# -- slots -------------------------------------------------------------------------------------


class Held:
    """Calls of other threads are held on their way out, with their slot, until they are let go."""

    def __init__(self, slots: Sequence[httpx.Client]) -> None:
        self._test = threading.current_thread()
        self._came, self._open = threading.Semaphore(0), threading.Event()
        for slot in slots:
            slot.event_hooks = {"request": [self._hold]}

    def _hold(self, _: httpx.Request) -> None:
        if threading.current_thread() is not self._test:
            self._came.release()
            self._open.wait()

    @contextmanager
    def calling(self, client: ServiceNowClient, *, threads: int, held: int) -> Iterator[None]:
        """So many threads call, and so many of their calls are held, neither more nor fewer."""
        callers = [threading.Thread(target=client.whoami) for _ in range(threads)]
        for caller in callers:
            caller.start()
        try:
            assert all(self._came.acquire(timeout=20) for _ in range(held))
            yield
            assert not self._came.acquire(blocking=False)
        finally:
            self._open.set()
            for caller in callers:
                caller.join()


def test_calls_run_beside_each_other_and_one_slot_is_kept_for_people(
    running_simulator: RunningSimulator, basic: BasicAuth
) -> None:
    slots = build_slots(url=running_simulator.url, auth=basic, timeout=5, count=4)
    with (
        closing(ServiceNowClient(slots)) as client,
        Held(slots).calling(client, threads=8, held=3),
        client.click(),
    ):
        client.whoami()


def test_a_click_that_finds_no_slot_in_time_says_so(
    running_simulator: RunningSimulator, basic: BasicAuth
) -> None:
    slots = build_slots(url=running_simulator.url, auth=basic, timeout=5, count=1)
    with (
        closing(ServiceNowClient(slots, click_seconds=0.2)) as client,
        Held(slots).calling(client, threads=1, held=1),
        client.click(),
        pytest.raises(ServiceNowUnavailable) as caught,
    ):
        client.whoami()
    assert caught.value.kind is Kind.BUSY


def test_a_date_without_a_zone_is_utc() -> None:
    """RFC 5322 3.3: -0000 says that the zone is not known."""
    moment = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    for text in ("Tue, 24 Nov 2026 09:00:00 GMT", "Tue, 24 Nov 2026 09:00:00 -0000"):
        assert http_date(text) == moment
    assert http_date("yesterday") is None
