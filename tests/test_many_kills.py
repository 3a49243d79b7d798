"""Real processes that pay one outbox, killed with SIGKILL again and again."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from app.db import events, links, outbox, tickets
from app.db.create_keys import draw
from app.db.engine import reading, writing
from app.db.tables import outbox as outbox_table
from app.db.tables import tickets as tickets_table
from app.integrations.servicenow.mapping import create_keys
from app.models.servicenow import OutboxKind, OutboxState
from app.models.tickets import EventKind
from app.settings import Settings
from app.simulator import Instance, RunningSimulator
from tests import pusher
from tests.conftest import servicenow_settings

pytestmark = pytest.mark.slow
KILLS = 25
PATIENCE = 90.0
Start = Callable[[], BaseProcess]


@pytest.fixture
def start(
    database_url: str, running_simulator: RunningSimulator, tmp_path: Path
) -> Iterator[Start]:
    """Starts one more process; all of them end with the test."""
    servicenow = replace(
        servicenow_settings(running_simulator.url),
        timeout_seconds=3,
        retry_seconds=0.2,
        settle_seconds=1,
    )
    settings = Settings(
        servicenow=servicenow, database_url=database_url, secret_key="a secret key for tests only"
    )
    children: list[BaseProcess] = []

    def begin() -> BaseProcess:
        children.append(pusher.start(settings, tmp_path / "log"))
        return children[-1]

    yield begin
    for child in children:
        pusher.kill(child)


def owe(engine: Engine, host: str, *, count: int, with_note: bool) -> None:
    """Tickets that owe their incident and, when linked, a note each."""
    now = datetime.now(UTC)
    with writing(engine) as conn:
        installation = links.installation_id(conn)
        for number in range(count):
            values = {"subject": f"Ticket {number}", "description": "", "status": "open"}
            row = conn.execute(
                tickets_table.insert()
                .values(
                    **values,
                    requester_email="abel.tuter@example.com",
                    created_at=now,
                    updated_at=now,
                )
                .returning(tickets_table.c.id)
            )
            ticket = tickets.get(conn, row.scalar_one())
            keys = create_keys(installation, draw())
            common: dict[str, Any] = {
                "ticket_id": ticket.id,
                "generation": ticket.sn_generation,
                "host": host,
                "created_by": "agent@example.com",
                "now": now,
            }
            outbox.add(
                conn,
                kind=OutboxKind.CREATE,
                sys_id=keys.sys_id,
                correlation_id=keys.correlation_id,
                **common,
            )
            if with_note:
                note = events.add(
                    conn,
                    ticket.id,
                    EventKind.INTERNAL_NOTE,
                    f"Note {number}",
                    author="agent@example.com",
                    internal=True,
                    now=now,
                )
                outbox.add(conn, kind=OutboxKind.NOTE, event_id=note.id, **common)


def left(engine: Engine) -> int:
    query = select(func.count()).select_from(outbox_table)
    with reading(engine) as conn:
        return conn.execute(query.where(outbox_table.c.state != OutboxState.DONE)).scalar_one()


def wait_for(check: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def test_twenty_five_kills_lose_nothing_and_double_nothing(
    start: Start, engine: Engine, instance: Instance, running_simulator: RunningSimulator
) -> None:
    instance.latency_seconds = 0.02
    host = running_simulator.url.removeprefix("http://")
    owe(engine, host, count=60, with_note=True)
    chance = random.Random(25)

    def moved_on(before: int) -> bool:
        return len(instance.requests) > before or not left(engine)

    for _ in range(KILLS):
        before = len(instance.requests)
        child = start()
        wait_for(partial(moved_on, before))
        time.sleep(chance.uniform(0, 0.15))
        pusher.kill(child)
    start()
    wait_for(lambda: not left(engine))
    assert len(instance.incidents) == 60
    check_notes(instance, 60)


def check_notes(instance: Instance, count: int) -> None:
    notes = Counter(
        row["value"].splitlines()[0]
        for sys_id in instance.incidents
        for row in instance.journal(sys_id)
        if row["value"].startswith("Note ")
    )
    assert notes == {f"Note {number}": 1 for number in range(count)}


def test_two_processes_and_a_killed_one_share_500_owed_pushes(
    start: Start, engine: Engine, instance: Instance, running_simulator: RunningSimulator
) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("one process per SQLite file; set TEST_DATABASE_URL")
    owe(engine, running_simulator.url.removeprefix("http://"), count=500, with_note=False)
    killed, *_ = [start() for _ in range(3)]
    wait_for(lambda: left(engine) < 400)
    pusher.kill(killed)
    wait_for(lambda: not left(engine))
    assert len(instance.incidents) == 500
    subjects = Counter(row["short_description"] for row in instance.incidents.values())
    assert set(subjects.values()) == {1}
    with reading(engine) as conn:
        linked = conn.execute(select(func.count(tickets_table.c.sn_sys_id.distinct())))
        assert linked.scalar_one() == 500
