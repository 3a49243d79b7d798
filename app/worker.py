"""The worker: delivers pushes, runs pulls, indexes, triages and trains, beside the requests."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

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
# An import needs the processor itself, and then the search index: until they end, so many seconds
# lie between two batches of other work.
BESIDE_OTHERS = 10.0
LOOK_AGAIN = 0.1


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


Stopping = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Job:
    """What one thread of the worker does at each look, and what wakes it early.

    `look` asks its argument between two steps whether to stop, which is a heartbeat too. `at_start`
    is done once, before the first look.
    """

    name: str
    look: Callable[[Stopping], object]
    wake_up: threading.Event
    at_start: tuple[Callable[[], object], ...] = ()


def servicenow_jobs(
    servicenow: ServiceNowService, wake_ups: WakeUps, importing: threading.Event
) -> tuple[Job, ...]:
    """Push and pull. `importing` is set while an import runs."""

    def push(stopping: Stopping) -> None:
        servicenow.delivery.deliver_due(stopping=stopping)

    def pull(stopping: Stopping) -> None:
        servicenow.imports.undo_due(stopping=stopping)
        importing.set()
        try:
            pulled = servicenow.imports.run_due(stopping=stopping)
        finally:
            importing.clear()
        if pulled:
            wake_ups.unread.set()
            wake_ups.background.set()
        servicenow.incoming.run_due(stopping=stopping)
        servicenow.history.purge_due()

    at_start = (servicenow.held_creates.check_at_start, servicenow.connection.try_again)
    return (
        Job("pushes", push, wake_ups.push, at_start),
        Job("pulls", pull, wake_ups.imports),
    )


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
        self._background = background
        self._similar = similar
        self._knowledge = knowledge
        self._health = health
        self._wake_ups = wake_ups
        self._traffic = traffic
        self._seconds = seconds
        self._stop = threading.Event()
        self._importing = threading.Event()
        self._indexing = threading.Event()
        jobs = (
            *servicenow_jobs(servicenow, wake_ups, self._importing),
            Job("search", self._index, wake_ups.unread),
            Job("learning", self._learn, wake_ups.background),
            Job("training", self._train, wake_ups.training),
        )
        self._threads = tuple(
            threading.Thread(target=self._loop, args=(job,), name=job.name, daemon=True)
            for job in jobs
        )
        health.expect(job.name for job in jobs)

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

    def _index(self, stopping: Stopping) -> None:
        self._indexing.set()
        try:
            self._knowledge.index_missing(
                stopping=stopping, pause=lambda: self._let_pass(self._importing)
            )
        finally:
            self._indexing.clear()

    def _let_pass(self, *work: threading.Event) -> None:
        """Let requests go first, and the `work` of other jobs."""
        self._traffic.let_pass()
        until = time.monotonic() + BESIDE_OTHERS
        while any(one.is_set() for one in work) and time.monotonic() < until:
            if self._stop.wait(LOOK_AGAIN):
                return

    def _learn(self, stopping: Stopping) -> None:
        self._similar.keep_fresh()
        self._background.keep_up(
            stopping=stopping, pause=lambda: self._let_pass(self._importing, self._indexing)
        )

    def _train(self, stopping: Stopping) -> None:
        if self._background.train(stopping=stopping):
            self._wake_ups.background.set()

    def _stopping(self, name: str) -> Stopping:
        """What a long job asks between two steps: whether to stop. To ask is a sign of life."""

        def stopping() -> bool:
            self._health.beat(name)
            return self._stop.is_set()

        return stopping

    def _loop(self, job: Job) -> None:
        stopping, away, at_start = self._stopping(job.name), False, list(job.at_start)
        while not stopping():
            try:
                self._servicenow.clock.look()
                # Inside the loop, which outlives a database that is away.
                while at_start:
                    at_start.pop(0)()
                job.look(stopping)
                away = False
            except DatabaseAway as exc:
                if not away:
                    log.warning("worker %s waits: %s", job.name, exc.message)
                away = True
            except Exception:  # The loop must outlive whatever breaks in it.
                log.exception("worker %s stumbled", job.name)
            job.wake_up.wait(self._seconds)
            job.wake_up.clear()
