"""The connection test: every step, every sentence, and no secret in any of them."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.copilot.engine import TriageEngine
from app.db import connection_tests
from app.db.engine import writing
from app.main import create_app
from app.models.views import Check
from app.settings import Settings
from app.simulator import Instance
from tests.conftest import HTMX, Clock, signed_in
from tests.desk import Desk
from tests.html import find, soup
from tests.test_servicenow_outbox import linked
from tests.test_servicenow_pages import press

STEPS = [
    "configuration",
    "reach",
    "clock",
    "sign_in",
    "read_incident",
    "write",
    "users",
    "choices",
    "journal",
    "query_probe",
    "time_zone",
    "create_keys",
    "own_incidents",
]


def steps_of(api: TestClient) -> dict[str, dict[str, str]]:
    """The steps of a test by name, in one POST."""
    answer = api.post("/api/sn/health")
    assert answer.status_code == 200
    assert "copilot-secret" not in answer.text
    return {check["name"]: check for check in answer.json()["checks"]}


def failing(found: dict[str, dict[str, str]], status: str = "failed") -> list[str]:
    return [name for name, check in found.items() if check["status"] == status]


def test_a_good_instance_passes_every_step(
    api: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    linked(desk)
    instance.invalid_query_regime = "forbidden"
    clock.moment = datetime.now(UTC)
    before = next(iter(instance.incidents.values()))["sys_mod_count"]
    found = steps_of(api)
    assert list(found) == STEPS
    assert {check["status"] for check in found.values()} == {"passed"}, found
    assert "OAuth is recommended" in found["sign_in"]["hint"]
    assert "(1 in total)" in found["read_incident"]["detail"]
    writes = [call["method"] for call in instance.requests if call["method"] != "GET"]
    assert writes.count("POST") == 1, "the create of the ticket, and none of the test"
    assert next(iter(instance.incidents.values()))["sys_mod_count"] == before


def test_without_a_linked_incident_the_write_right_waits_for_the_first_push(
    api: TestClient, instance: Instance
) -> None:
    found = steps_of(api)
    assert found["write"]["status"] == "skipped"
    assert "no incident is linked yet" in found["write"]["detail"]
    assert found["query_probe"]["status"] == "skipped"
    assert not instance.incidents


def test_a_pause_keeps_the_test_from_writing(
    api: TestClient, admin: TestClient, desk: Desk, instance: Instance
) -> None:
    linked(desk)
    admin.post("/servicenow/pause", data={"reason": "Upgrade"})
    assert "paused" in steps_of(api)["write"]["detail"]
    assert not [call for call in instance.requests if call["method"] == "PATCH"]


@pytest.mark.parametrize(("skew", "side"), [(300, "behind"), (-300, "ahead of")])
def test_a_clock_that_is_off_is_told_with_its_side(
    api: TestClient, instance: Instance, clock: Clock, skew: int, side: str
) -> None:
    clock.moment = datetime.now(UTC) + timedelta(seconds=skew)
    assert side in steps_of(api)["clock"]["detail"]


def test_rights_that_are_missing_are_named(
    api: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    linked(desk)
    clock.moment = datetime.now(UTC)
    instance.rules.write_denied = True
    instance.journal_readable = False
    instance.hidden_fields = {"sys_user": frozenset({"email"})}
    instance.table("sys_choice").clear()
    found = steps_of(api)
    assert failing(found) == ["write", "users"]
    assert failing(found, "warning") == ["choices", "journal", "query_probe"]
    assert "access rule" in found["write"]["detail"]
    assert "returns no rows, but entries exist" in found["journal"]["detail"]
    assert "ignores unknown fields" in found["query_probe"]["detail"]
    assert all(found[name]["hint"] for name in failing(found))


@pytest.mark.parametrize(
    ("regime", "words"),
    [("drop", "ignores"), ("no_rows", "return no incidents"), ("forbidden", "rejects")],
)
def test_the_probe_tells_the_three_regimes_apart(
    api: TestClient, instance: Instance, regime: str, words: str
) -> None:
    instance.add_incident(number="INC1")
    instance.invalid_query_regime = regime
    assert words in steps_of(api)["query_probe"]["detail"]


def test_incidents_that_are_counted_and_hidden_are_told(
    api: TestClient, instance: Instance
) -> None:
    theirs = instance.add_incident(number="INC1")
    instance.hidden_rows.add(theirs["sys_id"])
    found = steps_of(api)
    assert "cannot see any incident (1 in total)" in found["read_incident"]["detail"]


# -- a sentence for each failure -----------------------------------------------------------------

FAULTS: list[tuple[str, Callable[[Instance], object], str, str]] = [
    ("401", lambda i: setattr(i.accounts, "password", "x"), "sign_in", "rejected the sign-in"),
    ("429", lambda i: i.faults.add("rate_limit", times=None, retry_after=60), "reach", "limit is"),
    ("hibernating", lambda i: i.faults.hibernate(), "reach", "hibernating"),
    ("sso", lambda i: i.faults.add("login_redirect", times=None), "reach", "redirected"),
    ("offline", lambda i: i.faults.add("offline_page", times=None), "reach", "offline"),
    ("timeout", lambda i: i.faults.hang(1.5), "reach", "did not respond in time"),
    (
        "404",
        lambda i: i.faults.add("fail", times=None, status=404),
        "read_incident",
        "was not found",
    ),
    ("403", lambda i: i.closed_tables.add("incident"), "read_incident", "denied"),
]


@pytest.mark.parametrize(
    ("break_it", "step", "words"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_each_failure_has_its_own_sentence_and_next_step(
    settings: Settings,
    triage: TriageEngine,
    instance: Instance,
    break_it: Callable[[Instance], object],
    step: str,
    words: str,
) -> None:
    quick = replace(settings, servicenow=replace(settings.servicenow, timeout_seconds=0.7))
    with running(quick, triage) as app:
        break_it(instance)
        press(signed_in(app, "agent"), "/servicenow/test")
        found = {check.name: check for check in seen(app)}
        assert words in found[step].detail
        assert found[step].hint
        after = [found[name].status for name in STEPS[STEPS.index("users") :]]
        assert step == "read_incident" or set(after) == {"skipped"}
        instance.faults.clear()


def seen(app: FastAPI) -> tuple[Check, ...]:
    test = app.state.services.servicenow.connection.view().test
    assert test is not None
    assert not test.running
    return tuple(test.checks)


@contextmanager
def running(settings: Settings, triage: TriageEngine) -> Iterator[FastAPI]:
    app = create_app(settings, load_triage=lambda: triage)
    yield app
    app.state.services.servicenow.close()
    app.state.engine.dispose()


@contextmanager
def server(*, tls: bool) -> Iterator[int]:
    """A port that speaks TLS with a certificate that nobody vouches for, or no TLS at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "data" / "self_signed.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), taken:
                    if tls:
                        context.wrap_socket(taken, server_side=True)
                    taken.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://no-such-instance.invalid", "(DNS)"),
        ("http://127.0.0.1:{closed}", "refused the connection"),
        ("https://127.0.0.1:{plain}", "(TLS)"),
        ("https://127.0.0.1:{unknown}", "certificate"),
    ],
)
def test_what_keeps_the_instance_from_being_reached_is_told_apart(
    settings: Settings, triage: TriageEngine, url: str, words: str
) -> None:
    with server(tls=False) as plain, server(tls=True) as unknown:
        where = url.format(closed=closed_port(), plain=plain, unknown=unknown)
        elsewhere = replace(settings.servicenow, instance_url=where, timeout_seconds=2)
        with running(replace(settings, servicenow=elsewhere), triage) as app:
            app.state.services.servicenow.connection_test.test_now(seconds=0)
            found = {check.name: check for check in seen(app)}
            assert words in found["reach"].detail
            assert found["sign_in"].status == "skipped"
            assert "“Network and TLS” failed" in found["sign_in"].detail


# -- how people see it -----------------------------------------------------------------------


def test_the_card_polls_while_the_test_runs_and_stops_at_its_end(
    agent: TestClient, instance: Instance, engine: Engine, clock: Clock, settings: Settings
) -> None:
    host = settings.servicenow.host
    with writing(engine) as conn:
        assert connection_tests.claim(conn, host, now=clock(), dead_before=clock())
        done = [Check("configuration", "passed", "basic")]
        connection_tests.store(conn, host, done, finished_at=None)
    card = find(soup(press(agent, "/servicenow/test")), "#connection-card")
    assert (card["hx-get"], card["hx-trigger"]) == ("/servicenow/test", "load delay:1s")
    assert "Running" in card.get_text()
    assert soup(agent.get("/servicenow").text).select_one("noscript meta[http-equiv=refresh]")
    assert not instance.requests, "the running test was joined"
    clock.forward(minutes=4)
    press(agent, "/servicenow/test")
    card = find(soup(agent.get("/servicenow/test", headers=HTMX).text), "#connection-card")
    assert not card.get("hx-get")
    assert len(card.select("li")) == len(STEPS)


def test_without_scripts_the_button_leads_back_to_the_page(
    agent: TestClient, instance: Instance
) -> None:
    answer = agent.post("/servicenow/test")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/servicenow")
    card = find(soup(agent.get("/servicenow").text), "#connection-card")
    assert len(card.select("li")) == len(STEPS)
    assert "copilot-secret" not in card.get_text()


def test_not_configured_is_an_answer_of_the_test_too(unconfigured: FastAPI) -> None:
    browser = signed_in(unconfigured, "agent")
    body = browser.post("/api/sn/health").json()
    assert (body["configured"], body["checks"][0]["status"]) == (False, "failed")
