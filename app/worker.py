"""The worker: delivers pushes, runs pulls, indexes, triages and trains, beside the requests."""

import logging
import threading
import time
from collections.abc import Callable

from app.errors import DatabaseAway
from app.services.articles import ArticleService
from app.services.copilot.background import CopilotJobs
from app.services.copilot.similar import SimilarService
from app.services.health import HealthService
from app.services.servicenow import ServiceNowService
from app.traffic import Traffic

log = logging.getLogger("app.worker")
# For writing down how interrupted calls ended.
LAST_SECONDS = 1.0
# An import needs the processor itself, and then the search: so many seconds lie between two
# batches of other work.
BESIDE_OTHERS = 1.0


def tick(servicenow: ServiceNowService, *, stopping: Callable[[], bool] = lambda: False) -> None:
    """One look at everything that is due."""
    servicenow.clock.look()
    servicenow.delivery.deliver_due(stopping=stopping)
    servicenow.imports.undo_due(stopping=stopping)
    servicenow.imports.run_due(stopping=stopping)
    servicenow.incoming.run_due(stopping=stopping)
    servicenow.history.purge_due()


class WakeUps:
    """Cuts the pauses of the worker's threads short."""

    def __init__(self) -> None:
        self.push = threading.Event()
        self.imports = threading.Event()
        self.background = threading.Event()
        self.training = threading.Event()
        # New tickets wait for their words.
        self.unread = threading.Event()

    def set(self) -> None:
        self.push.set()
        self.imports.set()
        self.background.set()
        self.training.set()
        self.unread.set()


class Worker:
    """`start` and `stop` frame the life of the app; `seconds` is the pause between two looks."""

    def __init__(
        self,
        servicenow: ServiceNowService,
        background: CopilotJobs,
        similar: SimilarService,
        knowledge: ArticleService,
        health: HealthService,
        wake_ups: WakeUps,
        traffic: Traffic,
        *,
        seconds: float,
    ) -> None:
        self._servicenow = servicenow
        self._learning = background
        self._similar = similar
        self._knowledge = knowledge
        self._health = health
        self._wake_ups = wake_ups
        self._traffic = traffic
        self._seconds = seconds
        self._stop = threading.Event()
        self._importing = threading.Event()
        self._indexing = threading.Event()
        self._threads = (
            threading.Thread(target=self._push, name="pushes", daemon=True),
            threading.Thread(target=self._pull, name="pulls", daemon=True),
            threading.Thread(target=self._index, name="search", daemon=True),
            threading.Thread(target=self._learn, name="learning", daemon=True),
            threading.Thread(target=self._train, name="training", daemon=True),
        )
        health.expect(thread.name for thread in self._threads)

    def start(self) -> None:
        self._servicenow.held_creates.begin()
        for thread in self._threads:
            thread.start()

    def stop(self, *, seconds: float = 5) -> None:
        """Ask the threads to end, all of them within little more than `seconds`.

        A push under way may end; then other calls to ServiceNow are interrupted. What was being
        sent is settled or looked up later.
        """
        self._stop.set()
        self._wake_ups.set()
        until = time.monotonic() + seconds
        self._threads[0].join(seconds)
        self._servicenow.close()
        until = max(until, time.monotonic() + LAST_SECONDS)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _push(self) -> None:
        servicenow, stopping = self._servicenow, self._stopping("pushes")
        at_start = [servicenow.held_creates.check_at_start, servicenow.connection.try_again]

        def look() -> None:
            # Inside the loop, which outlives a database that is away; each is done once.
            while at_start:
                at_start.pop(0)()
            servicenow.delivery.deliver_due(stopping=stopping)

        self._loop("pushes", look, self._wake_ups.push)

    def _pull(self) -> None:
        self._loop("pulls", self._pull_and_purge, self._wake_ups.imports)

    def _pull_and_purge(self) -> None:
        stopping = self._stopping("pulls")
        self._servicenow.imports.undo_due(stopping=stopping)
        self._importing.set()
        try:
            pulled = self._servicenow.imports.run_due(stopping=stopping)
        finally:
            self._importing.clear()
        if pulled:
            self._wake_ups.unread.set()
            self._wake_ups.background.set()
        self._servicenow.incoming.run_due(stopping=stopping)
        self._servicenow.history.purge_due()

    def _index(self) -> None:
        stopping = self._stopping("search")

        def look() -> None:
            self._indexing.set()
            try:
                self._knowledge.index_missing(
                    stopping=stopping, pause=lambda: self._let_pass(self._importing)
                )
            finally:
                self._indexing.clear()

        self._loop("search", look, self._wake_ups.unread)

    def _let_pass(self, *work: threading.Event) -> None:
        """Let requests go first, and the `work` of other jobs."""
        self._traffic.let_pass()
        if any(one.is_set() for one in work):
            self._stop.wait(BESIDE_OTHERS)

    def _learn(self) -> None:
        def look() -> None:
            self._similar.keep_fresh()
            self._learning.keep_up(
                stopping=self._stopping("learning"),
                pause=lambda: self._let_pass(self._importing, self._indexing),
            )

        self._loop("learning", look, self._wake_ups.background)

    def _train(self) -> None:
        def look() -> None:
            if self._learning.train(stopping=self._stopping("training")):
                self._wake_ups.background.set()

        self._loop("training", look, self._wake_ups.training)

    def _stopping(self, name: str) -> Callable[[], bool]:
        """What a long job asks between two steps: whether to stop. To ask is a sign of life."""

        def stopping() -> bool:
            self._health.beat(name)
            return self._stop.is_set()

        return stopping

    def _loop(self, name: str, look: Callable[[], object], wake_up: threading.Event) -> None:
        away = False
        while not self._stop.is_set():
            self._health.beat(name)
            try:
                self._servicenow.clock.look()
                look()
                away = False
            except DatabaseAway as exc:
                if not away:
                    log.warning("worker %s waits: %s", name, exc.message)
                away = True
            except Exception:  # The loop must outlive whatever breaks in it.
                log.exception("worker %s stumbled", name)
            wake_up.wait(self._seconds)
            wake_up.clear()
