"""Every call ends by its deadline and keeps little, whatever the other side sends."""

import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.errors import (
    AnswerLost,
    AnswerTooLarge,
    Kind,
    ServiceNowError,
    ServiceNowUnavailable,
)
from app.integrations.bounded_http import AnswerTooLong, BoundedTransport
from app.integrations.servicenow import mapping
from app.integrations.servicenow.auth import BasicAuth, OAuth
from app.integrations.servicenow.bulk import BulkReader, streams
from app.integrations.servicenow.rate_limiter import RateLimiter
from app.integrations.servicenow_client import Query, ServiceNowClient, build_slots
from app.models.servicenow import PushState
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.simulator import Instance, RunningSimulator
from app.simulator.bodies import BODIES
from tests.conftest import Clock
from tests.desk import Desk
from tests.ticking import tick

TOKEN = "/oauth_token.do"
SMALL = 1.0
DEFORMED: dict[str, dict[str, Any]] = {name: {} for name in BODIES} | {
    "drip": {"pause": 1.0},
    "gzip_bomb": {"megabytes": 20},
}
# A drip takes much longer than that; the others end long before.
SECONDS = {"drip": 0.6}
LONG = 20.0
Client = ServiceNowClient


@contextmanager
def client_of(
    url: str,
    auth: httpx.Auth | None = None,
    *,
    count: int = 1,
    max_answer_mb: float = SMALL,
    click_seconds: float = LONG,
    bulk_seconds: float = LONG,
    **options: object,
) -> Iterator[Client]:
    slots = build_slots(
        url=url,
        auth=auth or BasicAuth("copilot", "copilot-secret"),
        timeout=5,
        count=count,
        max_answer_mb=max_answer_mb,
    )
    client = Client(slots, click_seconds=click_seconds, bulk_seconds=bulk_seconds, **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


def oauth(url: str) -> OAuth:
    return OAuth(f"{url}{TOKEN}", "copilot-client", "client-secret")


def click(client: Client) -> object:
    with client.click():
        return client.get_incidents(Query(), limit=5)


def page(client: Client) -> object:
    return client.bulk_page(Query(), limit=1000, fields=mapping.FIELDS)


def create(client: Client) -> object:
    with client.click():
        return client.create_incident({"short_description": "Mail is down"})


def update(client: Client) -> object:
    [sys_id] = [row["sys_id"] for row in client.get_incidents(Query(), limit=1).records]
    with client.click():
        return client.update_incident(sys_id, {"state": "2"})


def posts(instance: Instance, path: str = "/incident") -> int:
    return sum(
        request["method"] == "POST" and path in request["path"] for request in instance.requests
    )


@pytest.mark.parametrize("body", DEFORMED)
@pytest.mark.parametrize("call", [click, page])
def test_a_read_ends_and_gives_its_slot_back(
    running_simulator: RunningSimulator,
    instance: Instance,
    body: str,
    call: Callable[[Client], object],
) -> None:
    instance.add_incident(number="INC1", description="x" * 2000)
    seconds = SECONDS.get(body, LONG)
    with client_of(
        running_simulator.url,
        click_seconds=seconds,
        bulk_seconds=seconds,
        sleep=lambda _: None,
    ) as client:
        instance.faults.add(body, times=None, **DEFORMED[body])
        with pytest.raises(ServiceNowUnavailable) as caught:
            call(client)
        instance.faults.clear()
        assert isinstance(caught.value, AnswerTooLarge) is (body in ("endless", "gzip_bomb"))
        assert call(client)


@pytest.mark.parametrize("body", DEFORMED)
@pytest.mark.parametrize("call", [create, update])
def test_a_write_is_unconfirmed_and_was_sent_once(
    running_simulator: RunningSimulator,
    instance: Instance,
    body: str,
    call: Callable[[Client], object],
) -> None:
    if call is update:
        instance.add_incident(number="INC1")
    seconds = SECONDS.get(body, LONG)
    with client_of(running_simulator.url, click_seconds=seconds) as client:
        for method in ("POST", "PATCH"):
            instance.faults.add(body, method=method, **DEFORMED[body])
        with pytest.raises(AnswerLost) as caught:
            call(client)
    assert caught.value.kind is Kind.UNCONFIRMED
    assert len(instance.incidents) == 1


@pytest.mark.parametrize("body", DEFORMED)
def test_a_token_that_never_comes_means_nothing_was_sent(
    running_simulator: RunningSimulator, instance: Instance, body: str
) -> None:
    auth = oauth(running_simulator.url)
    seconds = SECONDS.get(body, LONG)
    with client_of(running_simulator.url, auth, click_seconds=seconds) as client:
        instance.faults.add(body, path=TOKEN, **DEFORMED[body])
        with pytest.raises(ServiceNowUnavailable):
            create(client)
        assert posts(instance) == 0
        assert create(client)


@contextmanager
def dripping_headers() -> Iterator[str]:
    """A server that sends a header that never ends, a letter at a time."""
    released = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            taken, _ = listening.accept()
            with taken:
                taken.sendall(b"HTTP/1.1 201 Created\r\nX-Slow: ")
                while not released.wait(0.05):
                    taken.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        released.set()
        thread.join(5)


@pytest.mark.parametrize(("call", "error"), [(click, ServiceNowUnavailable), (create, AnswerLost)])
def test_headers_that_drip_are_given_up(
    call: Callable[[Client], object], error: type[ServiceNowError]
) -> None:
    with dripping_headers() as url, client_of(url, click_seconds=0.4) as client:
        with pytest.raises(error) as caught:
            call(client)
        assert "did not respond in time" in caught.value.message


def test_a_name_that_is_not_found_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        given_up.wait(5)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with (
        client_of("http://localhost:9", click_seconds=0.2) as client,
        pytest.raises(ServiceNowUnavailable, match="did not respond in time"),
    ):
        create(client)
    given_up.set()


def test_all_tries_of_a_bulk_page_share_one_deadline(
    running_simulator: RunningSimulator, instance: Instance
) -> None:
    moment = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        moment[0] += seconds

    pace = RateLimiter(lambda: datetime.fromtimestamp(1e9 + moment[0], UTC))
    instance.faults.add("rate_limit", times=None, retry_after=8)
    with (
        client_of(
            running_simulator.url,
            bulk_seconds=20,
            sleep=sleep,
            monotonic=lambda: moment[0],
            rate_limiter=pace,
        ) as client,
        pytest.raises(ServiceNowUnavailable),
    ):
        page(client)
    assert waits == [8, 8]


# -- sizes -------------------------------------------------------------------------------------


def test_a_page_of_a_thousand_long_incidents_fits(
    running_simulator: RunningSimulator, instance: Instance
) -> None:
    for number in range(1000):
        instance.add_incident(number=f"INC{number}", description="d" * 4000, close_notes="n" * 4000)
    with client_of(running_simulator.url, max_answer_mb=16) as client:
        assert len(client.bulk_page(Query(), limit=1000, fields=mapping.FIELDS).records) == 1000


def test_pages_that_are_too_large_are_asked_for_in_parts(
    running_simulator: RunningSimulator, instance: Instance
) -> None:
    for number in range(300):
        instance.add_incident(number=f"INC{number}", description="d" * 10_000)
    with client_of(running_simulator.url) as client:
        reader = BulkReader(client, Query(), ("sys_id", "description"), len)
        assert sum(batch.page for batch in reader.batches(streams(1))) == 300
    assert reader.page_size < 100


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "gzip"}, b"this is not packed"),
        ({"Content-Encoding": "br"}, b"this was not asked for"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_no_answer(headers: dict[str, str], body: bytes) -> None:
    with raw_answer(headers, body) as url, client_of(url) as client, pytest.raises(AnswerLost):
        create(client)


def test_a_bomb_is_stopped_while_it_is_unpacked() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with (
        raw_answer({"Content-Encoding": "gzip"}, bomb) as url,
        httpx.Client(transport=BoundedTransport(max_bytes=1_000_000)) as http,
    ):
        tracemalloc.start()
        with pytest.raises(AnswerTooLong):
            http.get(url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10_000_000


def test_what_follows_a_packed_body_counts_too() -> None:
    """A packed body may have ended while more and more is sent."""
    empty = bytes.fromhex("1f8b08000000000000030300000000000000000000")
    with (
        raw_answer({"Content-Encoding": "gzip"}, empty + b"x" * 2_000_000) as url,
        httpx.Client(transport=BoundedTransport(max_bytes=1_000_000)) as http,
        pytest.raises(AnswerTooLong),
    ):
        http.get(url)


@contextmanager
def raw_answer(headers: dict[str, str], body: bytes) -> Iterator[str]:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines = ["HTTP/1.1 201 Created", f"Content-Length: {len(body)}", *lines, "", ""]

    def serve() -> None:
        with suppress(OSError):
            taken, _ = listening.accept()
            with taken:
                taken.recv(65_536)
                taken.sendall("\r\n".join(lines).encode() + body)
                taken.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize("depth", [100, 700, 100_000])
def test_a_field_that_is_nested_is_no_value_and_no_crash(depth: int) -> None:
    for opened, closed in (("[", "]"), ('{"value":', "}"), ('{"value":[', "]}")):
        nested = opened * depth + '"x"' + closed * depth
        row = f'{{"sys_id": "{"a" * 32}", "number": {nested}}}'
        error = f'{{"error": {{"message": {nested}, "detail": {nested}}}}}'
        for status, text in ((201, f'{{"result": {row}}}'), (400, error)):
            body = text.encode()
            answer = httpx.Response(
                status, content=body, headers={"Content-Type": "application/json"}
            )
            slot = httpx.Client(
                base_url="http://x", transport=httpx.MockTransport(lambda _, a=answer: a)
            )
            with suppress(ServiceNowError):
                assert "[" not in Client([slot]).create_incident({})["number"]


# -- pushes ------------------------------------------------------------------------------------


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, servicenow=replace(settings.servicenow, timeout_seconds=1))


def test_a_create_whose_answer_drips_is_unconfirmed_within_its_lease(
    app: FastAPI, instance: Instance, desk: Desk, clock: Clock
) -> None:
    service: ServiceNowService = app.state.services.servicenow
    ticket = desk.ticket()
    instance.faults.add("drip", method="POST", pause=0.1)
    status = service.push.create_from_ticket(ticket.id, by="agent@example.com")
    assert status.state is PushState.UNCONFIRMED
    clock.forward(minutes=2)
    tick(service)
    assert service.push.status(ticket.id).state is PushState.LINKED
    assert posts(instance) == len(instance.incidents) == 1


# -- the token ---------------------------------------------------------------------------------


class SlowToken(httpx.BaseTransport):
    """Answers token requests when it is released; `asked` is set by the first."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.asked, self.released = threading.Event(), threading.Event()
        self.tokens = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != TOKEN:
            return httpx.Response(200, json={"result": []})
        self.tokens += 1
        self.asked.set()
        self.released.wait(10)
        return self.answer


def slow(transport: SlowToken, *, click_seconds: float) -> Client:
    auth = oauth("http://instance.test")
    slots = build_slots(url="http://instance.test", auth=auth, timeout=5, transport=transport)
    return Client(slots, click_seconds=click_seconds, bulk_seconds=20)


def test_who_waits_for_a_token_keeps_their_own_deadline() -> None:
    transport = SlowToken(httpx.Response(200, json={"access_token": "t", "expires_in": 1800}))
    client = slow(transport, click_seconds=0.2)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(page, client)
        assert transport.asked.wait(10)
        for _ in range(3):
            with pytest.raises(ServiceNowUnavailable, match="sign-in did not respond in time"):
                click(client)
        transport.released.set()
        assert patient.result(10)
    assert transport.tokens == 1


def test_a_failure_is_shared_by_those_who_waited_and_the_next_click_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = threading.Semaphore(0)

    class Watched(Future[str]):
        def result(self, timeout: float | None = None) -> str:
            waiting.release()
            return super().result(timeout)

    monkeypatch.setattr("app.integrations.servicenow.auth.Future", Watched)
    transport = SlowToken(httpx.Response(401))
    client = slow(transport, click_seconds=20)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(click, client)]
        assert transport.asked.wait(10)
        calls += [pool.submit(click, client) for _ in range(2)]
        for _ in range(2):
            assert waiting.acquire(timeout=10)
        transport.released.set()
        kinds = [getattr(one.exception(10), "kind", None) for one in calls]
    assert kinds == [Kind.AUTH] * 3
    assert transport.tokens == 1
    transport.answer = httpx.Response(200, json={"access_token": "t", "expires_in": 1800})
    assert click(client)
    assert transport.tokens == 2
