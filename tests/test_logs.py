"""Lines for people on a terminal, JSON for programs."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import logs
from app.models.accounts import Role
from app.services.servicenow import ServiceNowService
from app.simulator import Instance


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The loggers of the tests come back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = before, level


def written(form: str, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    logs.configure(form)
    fields = {"method": "GET", "path": "/tickets\n/7", "status": 404, "ms": 12.3}
    logging.getLogger("app.requests").info("request", extra={"fields": fields})
    logging.getLogger("app.worker").warning("worker pulls waits", extra={"fields": {"run": 7}})
    return stderr.getvalue()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("form", "terminal", "as_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("text", False, False),
        ("json", True, True),
    ],
)
def test_the_form_follows_the_setting_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch, form: str, terminal: bool, as_json: bool
) -> None:
    lines = written(form, monkeypatch, terminal=terminal).splitlines()
    assert len(lines) == 2
    if as_json:
        assert json.loads(lines[0])["path"] == "/tickets\n/7"
        return
    assert lines[0].endswith("GET /tickets\\n/7 404 12 ms")
    assert lines[1].endswith("WARNING worker: worker pulls waits run=7")
    assert max(map(len, lines)) < 80


@pytest.mark.usefixtures("unchanged")
def test_what_broke_is_told_with_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    logs.configure("auto")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("app.web").exception("request broke")
    assert "ERROR web: request broke\nTraceback" in stderr.getvalue()


def test_calls_and_static_files_that_went_well_are_no_news(
    app: FastAPI, admin: TestClient, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    service: ServiceNowService = app.state.services.servicenow
    with caplog.at_level(logging.INFO):
        service.connection.test()
        assert admin.get("/static/app.css").status_code == 200
        admin.get("/healthz")
        assert not [one for one in caplog.records if one.name in ("app.requests", "app.servicenow")]
        instance.faults.fail_next(status=500)
        service.connection.test()
        admin.get("/static/nosuch.css")
    told = [one.name for one in caplog.records]
    assert "app.requests" in told
    assert "app.servicenow" in told


MISTYPED = (
    "/reset/{}",
    "/RESET/{}",
    "/Reset/{}/",
    "//reset/{}",
    "/reset//{}",
    "/reset/ {}",
    "/reset{}",
    "/reset:{}",
    "/rest/{}",
    "/login/{}/reset",
    "/reset%2F{}",
    "/reset%252f{}.",
    "/{}",
)


def test_a_token_in_a_mistyped_path_is_in_no_log(
    app: FastAPI, admin: TestClient, caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    accounts = app.state.services.accounts
    _, token = accounts.invite_user("new@example.com", Role.AGENT)
    for shape in MISTYPED:
        for written in (token, token.upper(), token.lower(), token[:24], token[19:]):
            with subtests.test(shape.format(written)), caplog.at_level(logging.DEBUG):
                caplog.clear()
                admin.get(shape.format(written))
                admin.post(shape.format(written))
                # The client of the test writes lines of its own.
                ours = [one for one in caplog.records if one.name.startswith("app.")]
                told = [f"{one.getMessage()} {vars(one)}" for one in ours]
                assert len(told) == 2
                assert not [line for line in told if written.lower() in line.lower()]


def test_paths_without_a_token_are_logged_as_they_are() -> None:
    for path in (
        "/articles/outlook-keeps-asking-for-password/edit",
        "/articles/benutzerkontensteuerung-unter-windows-11",
        f"/servicenow/incidents/{'0a1b' * 8}",
        "/api/sn/incidents/create-from-ticket/7",
        "/servicenow/mapping/reset",
    ):
        assert logs.shown_path(path) == path
