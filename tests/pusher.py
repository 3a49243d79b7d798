"""One more process that does the worker's jobs: `python -m tests.pusher`, killed at any moment."""

import os
import time
from contextlib import suppress

from app.connecting import make_servicenow
from app.db.engine import make_engine, utc_now
from app.errors import DatabaseAway
from app.services.servicenow import ServiceNowService
from app.settings import Settings
from app.worker import tick

PAUSE = 0.05


def main() -> None:
    """Work until killed; nothing is trained and no page is served, so that a start is quick."""
    servicenow = started(Settings.from_env(os.environ))
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


if __name__ == "__main__":
    main()
