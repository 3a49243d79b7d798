"""A PostgreSQL that is restarted under a busy worker: passing trouble, for nobody to mend."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.copilot.engine import TriageEngine
from app.main import create_app
from app.models.accounts import Role
from app.models.servicenow import OutboxState
from app.models.servicenow_pages import OutboxFilter
from app.settings import Settings
from app.simulator import Instance, RunningSimulator
from tests.conftest import SAME_ORIGIN, account, servicenow_settings
from tests.desk import Desk
from tests.postgresql import Cluster, cluster
from tests.test_killed_process import eventually

__all__ = ["cluster"]
pytestmark = pytest.mark.slow
TICKETS = 12
RESTARTS = 3


@pytest.fixture
def busy(
    cluster: Cluster,
    running_simulator: RunningSimulator,
    instance: Instance,
    triage: TriageEngine,
    request: pytest.FixtureRequest,
) -> Iterator[FastAPI]:
    """An app on a server of its own, whose pushes and pulls never wait long."""
    sn = replace(servicenow_settings(running_simulator.url), retry_seconds=0.2, settle_seconds=1)
    settings = Settings(
        servicenow=replace(sn, pull_seconds=0.2, timeout_seconds=2),
        database_url=cluster.new_database(request.node.name),
        secret_key="a secret key for tests only",
        worker_seconds=0.05,
    )
    app = create_app(settings, load_triage=lambda: triage)
    yield app
    app.state.engine.dispose()


def test_nothing_is_blocked_and_no_stack_is_logged(
    busy: FastAPI, cluster: Cluster, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    instance.latency_seconds = 0.05
    desk = Desk(busy)
    service = busy.state.services.servicenow
    made = [desk.ticket(f"The printer {number} jams") for number in range(TICKETS)]

    def owed() -> list[OutboxState]:
        rows = service.outbox.shown(OutboxFilter(state="waiting")).rows
        return [row.item.state for row in rows]

    with caplog.at_level(logging.WARNING), TestClient(busy):
        for ticket in made:
            service.push.create_from_ticket(ticket.id, by=desk.user.email)
            desk.note(ticket.id, "Looking into it", internal=True, push=True)
        for _ in range(RESTARTS):
            threading.Event().wait(0.3)
            cluster.restart()
        eventually(lambda: not owed())
    keys = [row["correlation_id"] for row in instance.incidents.values()]
    assert len(keys) == len(set(keys)) == TICKETS
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def test_a_page_says_so_and_works_again(
    busy: FastAPI, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    account(busy, "agent@example.com", Role.AGENT)
    client = TestClient(busy, headers=SAME_ORIGIN)
    assert client.get("/login").status_code == 200
    cluster.stop()
    try:
        answer = client.post("/login", data={"email": "agent@example.com", "password": "x"})
        assert answer.status_code == 503
        assert "database cannot be used at the moment" in answer.text
        assert client.get("/readyz").json()["failed_check"] == "database"
    finally:
        cluster.start()
    answer = client.post("/login", data={"email": "agent@example.com", "password": "x"})
    assert answer.status_code != 503
    assert not [record for record in caplog.records if record.exc_info]
