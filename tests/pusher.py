"""More processes that do the worker's jobs, each killed at any moment."""

import multiprocessing
import os
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from app.db.engine import make_engine, utc_now
from app.errors import DatabaseAway
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.wiring import make_servicenow
from tests.ticking import tick

PAUSE = 0.05
# Forked from a process that has imported everything: a start takes no time.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.pusher", "psycopg"])


def start(settings: Settings, log: Path) -> BaseProcess:
    """One more process; what it says is added to the log."""
    child = PROCESSES.Process(target=work, args=(settings, log), daemon=True)
    child.start()
    return child


def kill(child: BaseProcess) -> None:
    """End it by SIGKILL."""
    child.kill()
    child.join(10)


def work(settings: Settings, log: Path) -> None:
    """Work until killed; nothing is trained and no page is served."""
    with log.open("ab") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    servicenow = started(settings)
    while True:
        # Like the worker of the app, this one waits while the database is away.
        with suppress(DatabaseAway):
            tick(servicenow)
        time.sleep(PAUSE)


def started(settings: Settings) -> ServiceNowService:
    """The service. The start is repeated while the database is away, as a supervisor does it."""
    engine = make_engine(settings.database_url)
    while True:
        with suppress(DatabaseAway):
            servicenow = make_servicenow(settings, engine, lambda: None, now=utc_now)
            if engine.dialect.name == "sqlite":
                servicenow.recover()
            return servicenow
        time.sleep(PAUSE)
