"""One more process that does the worker's jobs: `python -m tests.pusher`, killed at any moment."""

import os
import time

from app.connecting import make_servicenow
from app.db.engine import make_engine, utc_now
from app.settings import Settings
from app.worker import tick

PAUSE = 0.05


def main() -> None:
    """Work until killed; nothing is trained and no page is served, so that a start is quick."""
    settings = Settings.from_env(os.environ)
    engine = make_engine(settings.database_url)
    servicenow = make_servicenow(settings, engine, lambda: None, now=utc_now)
    if engine.dialect.name == "sqlite":
        servicenow.recover()
    while True:
        tick(servicenow)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
