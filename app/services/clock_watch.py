"""Our own clock may be set, forward and back: nothing waits longer than usual for that."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from app.db import clock_repair
from app.db.engine import writing

log = logging.getLogger("app.worker")


class ClockWatch:
    """Notices a clock that went back since the last call; the first call corrects stored times."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._lock = threading.Lock()
        self._last: datetime | None = None

    def look(self) -> None:
        """Cheap unless the clock was set back by more than it may differ."""
        with self._lock:
            now, last = self._now(), self._last
            set_back = last is not None and now < last - clock_repair.TOLERATED
            if last is None or set_back:
                self._put_right(now, set_back=set_back)
            self._last = now

    def _put_right(self, now: datetime, *, set_back: bool) -> None:
        with writing(self._engine) as conn:
            found = clock_repair.put_right(conn, now=now, set_back=set_back)
        if set_back or found:
            log.warning("the clock was set back", extra={"fields": {"rows": found}})
