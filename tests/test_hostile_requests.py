"""Requests nobody means well with: whatever is in them, the answer is a decent one."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from app import server
from app.middleware import HEADERS, BodyLimit
from app.simulator.running import listening_socket
from tests.conftest import HTMX, SAME_ORIGIN

# Every header that the app, its framework or its middleware reads.
NAMES = (
    *("Host", "Referer", "Origin", "Cookie", "Authorization", "Content-Type", "Content-Length"),
    *("Accept", "Accept-Encoding", "Accept-Language", "Range", "If-Range", "If-None-Match"),
    *("If-Modified-Since", "Sec-Fetch-Site", "HX-Request", "HX-Request-Type", "HX-Target"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Request-ID"),
    *("Idempotency-Key", "User-Agent", "Expect", "Connection", "X-Polling"),
)
# What HTTP lets a header hold.
BYTES = st.binary(max_size=60).map(
    lambda text: bytes(byte for byte in text if byte == 9 or 32 <= byte != 127).strip()
)
BROKEN = st.sampled_from(
    [
        *(
            b"http://[bad/",
            b"[::1",
            b"[",
            b"]",
            b"http://",
            b"//",
            b"\xff\xfe",
            b"a:b:c",
            b":",
            b"/",
        ),
        *(b"http://x:99999/", b"http://x:y/", b"x:99999", b"x:0", b"::", b"%", b"%zz", b"\\\\evil"),
        *(
            b"bytes=-",
            b"bytes=9-1",
            b"bytes=a-b",
            b"bytes=0-0,1-1",
            b"Bearer",
            b"Bearer \xe9",
            b"=",
        ),
        *(b"application/json; charset=nosuch", b"multipart/form-data", b"text/html; charset=\xff"),
        *(b"application/x-www-form-urlencoded; charset=nosuch", b"multipart/form-data; boundary="),
        *(b"desk_session=", b"desk_session=\xe9.x", b"desk_session=a.b", b"W/", b"\xc2\xb2", b"-1"),
    ]
)
HOSTILE = st.dictionaries(st.sampled_from(NAMES), BYTES | BROKEN, min_size=1, max_size=4)
ROUTES = (
    *("GET /", "GET /login", "GET /nosuch", "GET /tickets", "GET /static/app.css", "GET /healthz"),
    *("GET /api/tickets", "GET /api/nosuch", "GET /openapi.json", "GET /tickets/", "PUT /login"),
    *("POST /login", "POST /tickets", "POST /api/tickets", "POST /nosuch", "POST /ask"),
)


def protected(headers: Mapping[str, str]) -> bool:
    return all(headers.get(name) == value for name, value in HEADERS.items())


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@example(route="GET /nosuch", headers={"Referer": b"http://[bad/"})
@example(route="GET /login", headers={"Host": b"[::1"})
@example(route="POST /nosuch", headers={"Host": b"[::1", "Referer": b"http://[bad/"})
@example(route="POST /login", headers={"Content-Type": b"multipart/form-data; boundary="})
@given(route=st.sampled_from(ROUTES), headers=HOSTILE)
def test_no_header_breaks_an_answer(
    requester: TestClient, route: str, headers: dict[str, bytes]
) -> None:
    method, path = route.split(" ")
    content = b"email=a&password=b&subject=c" if method == "POST" else None
    written = [(name.encode(), value) for name, value in headers.items()]
    answer = requester.request(method, path, headers=written, content=content)
    assert answer.status_code < 500
    assert protected(answer.headers)


@pytest.mark.parametrize("headers", [{}, HTMX, {"Referer": "http://[bad/"}])
@pytest.mark.parametrize("path", ["/tickets", "/api/tickets", "/login"])
def test_an_unexpected_error_is_protected_too(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, path: str, headers: dict[str, str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.state.services.accounts.sessions, "user", broken)
    quiet = TestClient(app, raise_server_exceptions=False)
    answer = quiet.get(path, headers=headers)
    assert answer.status_code == 500
    assert protected(answer.headers)
    assert answer.headers["X-Request-ID"] in answer.text


@pytest.mark.parametrize("host", ["[::1", "x:99999", "a b", "x/y", "x@y", "x:0", "é"])
def test_a_host_that_is_none_is_refused(app: FastAPI, host: str) -> None:
    for path in ("/login", "/api/tickets"):
        answer = TestClient(app).get(path, headers=[(b"Host", host.encode())])
        assert answer.status_code == 400
        assert "Host" in answer.text


@pytest.mark.parametrize("host", ["desk", "desk.example.com:8000", "[::1]:8000", "10.0.0.1", "a_b"])
def test_usual_hosts_pass(app: FastAPI, host: str) -> None:
    assert TestClient(app).get("/login", headers={"Host": host}).status_code == 200


# Numbers that no id can be: too long to read, too long to store, of another script, none at all.
NO_IDS = ("9" * 5000, "000000000001" + "9" * 60, "9" * 30, "x", "-1", "1.5", "٣", "²", "%00")


@pytest.mark.parametrize("number", NO_IDS)
def test_a_note_of_a_stranger_is_answered_whatever_its_numbers(app: FastAPI, number: str) -> None:
    for path, by in ((f"/tickets/{number}/notes", "1"), ("/tickets/1/notes", number)):
        answer = TestClient(app).post(path, data={"body": "x", "by": by}, headers=SAME_ORIGIN)
        assert answer.status_code < 500


@pytest.mark.parametrize("number", NO_IDS)
@pytest.mark.parametrize("page", ["history", "outbox"])
def test_a_filter_that_is_no_id_breaks_no_page(agent: TestClient, page: str, number: str) -> None:
    answer = agent.get(f"/servicenow/{page}?ticket={number}")
    assert answer.status_code == 200


def test_unknown_fields_are_reported_up_to_twenty(api: TestClient) -> None:
    body = {f"f{number}": 1 for number in range(100_000)} | {"subject": "x"}
    answer = api.post("/api/tickets", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert "100,000" in answer.json()["detail"]
    long = api.post("/api/tickets", json={"subject": "x", "y" * 1_000_000: 1})
    assert len(long.content) < 2_000


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def impatient(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server that waits 0.2 s for a head and as long for a body."""
    limited = BodyLimit(hello, largest=1000, seconds=0.2)

    async def within_app(scope: Scope, receive: Receive, send: Send) -> None:
        await limited({**scope, "app": app}, receive, send)

    listening = listening_socket()
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    config = uvicorn.Config(
        within_app,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=server.ImpatientProtocol,
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield listening.getsockname()
    running.should_exit = True
    thread.join(10)


@pytest.mark.parametrize("head", [b"", b"GET /api/x HTTP/1.1\r\nHost: x\r\nX-More: "])
def test_heads_that_do_not_arrive_end_the_connection(
    impatient: tuple[str, int], head: bytes
) -> None:
    with ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(impatient, timeout=30)) for _ in range(20)
        ]
        for client in clients:
            client.sendall(head)
        assert [client.recv(1) for client in clients] == [b""] * 20


def test_a_connection_serves_one_request_after_the_other(impatient: tuple[str, int]) -> None:
    with socket.create_connection(impatient, timeout=30) as client:
        for _ in range(3):
            client.sendall(b"GET /api/x HTTP/1.1\r\nHost: ")
            client.sendall(b"x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


FRAMINGS = {
    b"Content-Length: 1000": b"408",
    b"Transfer-Encoding: chunked": b"408",
    b"Content-Length: 1001": b"408",
    b"Content-Length: 4": b"200",
}


def test_bodies_that_do_not_arrive_are_answered_and_closed(impatient: tuple[str, int]) -> None:
    with ExitStack() as opened:
        clients = []
        for framing in [*FRAMINGS] * 20:
            client = opened.enter_context(socket.create_connection(impatient, timeout=30))
            head = b"POST /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framing
            client.sendall(head + b"\r\n\r\n4\r\ns")
            clients.append(client)
        answers = [b"".join(iter(lambda c=client: c.recv(65536), b"")) for client in clients]  # type: ignore[misc]
    found = [answer[9:12] for answer in answers]
    assert found == [*FRAMINGS.values()] * 20
