"""Stopping does not wait for ServiceNow: calls under way are interrupted, none is lost."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.copilot.engine import TriageEngine
from app.errors import AnswerLost, HeldBack, ServiceNowError
from app.integrations.servicenow_client import ServiceNowClient as Client
from app.main import create_app
from app.models.sync_runs import RunState
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from tests.test_bounded_calls import client_of, create, page


@contextmanager
def silence() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(("call", "error"), [(page, HeldBack), (create, AnswerLost)])
def test_a_closed_client_ends_what_is_under_way(
    call: Callable[[Client], object], error: type[ServiceNowError]
) -> None:
    with (
        silence() as url,
        client_of(url, count=2, click_seconds=60) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        calls = [pool.submit(call, client) for _ in range(2)]
        while client._slots.under_way() == 0:
            assert not calls[0].done()
        client.close()
        for one in calls:
            assert isinstance(one.exception(20), (error, HeldBack))
        with pytest.raises(HeldBack):
            call(client)


@pytest.mark.slow
def test_the_end_of_the_app_interrupts_a_pull_and_leaves_it_to_the_next_process(
    settings: Settings, triage: TriageEngine, engine: Engine
) -> None:
    before = set(threading.enumerate())
    with silence() as url:
        silent = replace(settings.servicenow, instance_url=url, bulk_timeout_seconds=60)
        app = create_app(
            replace(settings, servicenow=silent), load_triage=lambda: triage, engine=engine
        )
        service: ServiceNowService = app.state.services.servicenow
        run = service.imports.start(by="admin@example.com", limit=10)
        with TestClient(app):
            until = threading.Event()
            while service._context.client._slots.under_way() == 0:  # type: ignore[union-attr]
                until.wait(0.01)
        left = {thread.name for thread in set(threading.enumerate()) - before}
        assert not left & {"pulls", "pushes"}
        after = service.imports.get(run.id)
        assert (after.state, after.stumbles, after.error) == (RunState.QUEUED, 0, None)
        assert service.connection.view().last_error is None
