"""How fast many incidents are read and imported, beside a bare loop over the same pages.

The instance is the simulator in a process of its own; it answers each page after LATENCY.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.copilot.engine import TriageEngine
from app.db import search
from app.db import tickets as db_tickets
from app.db.engine import reading, utc_now, writing
from app.db.tables import tickets
from app.integrations.servicenow import mapping
from app.integrations.servicenow.bulk import PAGE, BulkReader, streams
from app.integrations.servicenow_client import BasicAuth, Query, ServiceNowClient, build_slots
from app.main import create_app
from app.models.sync_runs import RunState
from app.models.tickets import Ticket
from app.settings import Settings
from tests.conftest import servicenow_settings

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).resolve().parents[2]
LATENCY = 0.1
READ = 20_000
TRIAGED = 10_000
IMPORTED = int(os.environ.get("BENCHMARK_INCIDENTS", "100000"))
BOUNDS = ("", "40", "80", "c0", "")
SIGN_IN = ("copilot", "copilot-secret")
PARAMETERS = {
    "sysparm_fields": ",".join(mapping.FIELDS),
    "sysparm_limit": str(PAGE),
    "sysparm_exclude_reference_link": "true",
    "sysparm_suppress_pagination_header": "true",
}


@contextmanager
def simulator(incidents: int) -> Iterator[str]:
    """The address of an instance in another process, so that its work is not ours."""
    command = [sys.executable, "-m", "app.simulator", "--port", "0", "--incidents", str(incidents)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        url = re.search(r"http://\S+", child.stdout.readline())
        assert url is not None
        switches = {"latency_seconds": LATENCY}
        httpx.post(f"{url[0]}/_control/switches", json=switches).raise_for_status()
        yield url[0]
    finally:
        child.kill()
        child.wait(10)
        if child.stdout:
            child.stdout.close()


@dataclass
class Bare:
    """What the same costs without any of us: four threads, one connection, one executemany."""

    url: str
    database: Path | None = None
    rows: int = 0
    served_ms: list[int] = field(default_factory=list)

    def run(self) -> float:
        """Seconds for all pages."""
        started = time.perf_counter()
        self._lock = threading.Lock()
        if self.database:
            self._raw = sqlite3.connect(self.database, check_same_thread=False)
            columns = ", ".join(f'"{name}" TEXT' for name in mapping.FIELDS)
            self._raw.execute(f"CREATE TABLE bare ({columns})")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._stream, range(4)))
        if self.database:
            self._raw.close()
        return time.perf_counter() - started

    def _stream(self, number: int) -> None:
        low, high = BOUNDS[number : number + 2]
        bounds = [f"sys_id>={low}" if low else "", f"sys_id<{high}" if high else ""]
        last = ""
        with httpx.Client(base_url=self.url, auth=SIGN_IN, timeout=60) as http:
            while True:
                terms = [*bounds, f"sys_id>{last}" if last else "", "ORDERBYsys_id"]
                query = {"sysparm_query": "^".join(term for term in terms if term)}
                answer = http.get("/api/now/table/incident", params=PARAMETERS | query)
                page = json.loads(answer.content)["result"]
                self._keep(page, answer.headers["Server-Timing"])
                if len(page) < PAGE:
                    return
                last = page[-1]["sys_id"]

    def _keep(self, page: list[dict[str, str]], timing: str) -> None:
        spent = re.search(r"app;dur=(\d+)", timing)
        with self._lock:
            self.rows += len(page)
            self.served_ms.append(int(spent[1]) if spent else 0)
            if self.database:
                marks = ", ".join("?" * len(mapping.FIELDS))
                values = [[row[name] for name in mapping.FIELDS] for row in page]
                self._raw.executemany(f"INSERT INTO bare VALUES ({marks})", values)
                self._raw.commit()

    @property
    def server(self) -> str:
        own = sorted(ms - 1000 * LATENCY for ms in self.served_ms)
        return f"{len(own)} pages, the server's own time {own[len(own) // 2]:.0f} ms each"


class Memory:
    """How much this process grows inside a `with`, in MB, looked at every 20 ms."""

    def __enter__(self) -> "Memory":
        self._before = self._peak = self._resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self._peak = max(self._peak, self._resident())

    def _resident(self) -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def growth(self) -> float:
        return (self._peak - self._before) / 1_000_000


def test_reading_twenty_thousand_incidents() -> None:
    with simulator(READ) as url:
        auth = BasicAuth(*SIGN_IN)
        # The client keeps one more slot for clicks.
        client = ServiceNowClient(build_slots(url=url, auth=auth, timeout=60, count=5))
        spans = []
        for _ in range(3):
            started = time.perf_counter()
            reader = BulkReader(client, Query(), mapping.FIELDS, len)
            rows = sum(batch.page for batch in reader.batches(streams(4)))
            spans.append(time.perf_counter() - started)
            assert rows == READ
        client.close()
        bare = Bare(url)
        bare_seconds = min(bare.run() for _ in range(3))
    print(
        f"\nReading {READ:,} incidents, 4 streams, {1000 * LATENCY:.0f} ms a page of {PAGE:,}: "
        f"{min(spans):.2f} s, best of 3 (bare loop {bare_seconds:.2f} s; {bare.server})"
    )


def test_importing_very_many_incidents(
    settings: Settings, triage: TriageEngine, tmp_path: Path
) -> None:
    with simulator(IMPORTED) as url:
        here = replace(settings, servicenow=servicenow_settings(url))
        service = create_app(
            here, load_triage=lambda: triage, now=utc_now
        ).state.services.servicenow
        run = service.imports.start(by="a@example.com", limit=IMPORTED, import_tickets=True)
        with Memory() as memory:
            started = time.perf_counter()
            service.imports.run_due()
            seconds = time.perf_counter() - started
        ended = service.imports.get(run.id)
        service.close()
        bare = Bare(url, tmp_path / "bare.db")
        bare_seconds = bare.run()
    assert (ended.state, ended.created, bare.rows) == (RunState.DONE, IMPORTED, IMPORTED)
    print(
        f"\nImporting {IMPORTED:,} incidents, 3 streams, {1000 * LATENCY:.0f} ms a page of "
        f"{PAGE:,}: {seconds:.1f} s, {memory.growth:.0f} MB more memory "
        f"({seconds / bare_seconds:.1f} x the bare loop's {bare_seconds:.1f} s; {bare.server})"
    )


@pytest.mark.parametrize("incidents", [10_000, 100_000])
def test_imported_tickets_are_found_soon(
    settings: Settings, triage: TriageEngine, incidents: int
) -> None:
    """Seconds from the end of an import until no ticket waits for its words, triage running."""
    with simulator(incidents) as url:
        here = replace(settings, servicenow=servicenow_settings(url))
        app = create_app(here, load_triage=lambda: triage, now=utc_now)
        with TestClient(app) as http:
            pulls = app.state.services.servicenow.imports
            run = pulls.start(by="a@example.com", limit=incidents, import_tickets=True)
            pulls.wait(run.id, seconds=600)
            ended, cpu = time.perf_counter(), time.process_time()
            while unindexed(app.state.engine):
                http.get("/healthz")
                time.sleep(0.05)
            seconds, spent = time.perf_counter() - ended, time.process_time() - cpu
    print(f"\n{incidents:,} imported tickets are found after {seconds:.1f} s, {spent:.1f} s CPU")


def test_imported_tickets_are_triaged_in_batches(settings: Settings) -> None:
    """CPU a ticket, in batches and one by one in the same run; then its reasons and steps."""
    with simulator(TRIAGED) as url:
        here = replace(settings, servicenow=servicenow_settings(url))
        engine = TriageEngine.from_starter()
        app = create_app(here, load_triage=lambda: engine, now=utc_now)
        services = app.state.services
        services.servicenow.imports.start(by="a@example.com", limit=TRIAGED, import_tickets=True)
        services.servicenow.imports.run_due()
        services.servicenow.close()
    with writing(app.state.engine) as conn:
        conn.execute(update(tickets).values(status="open", category=None, priority=None))
    services.knowledge.index_missing()
    services.similar.keep_fresh()
    triage = services.triage
    with reading(app.state.engine) as conn:
        some = db_tickets.untriaged(conn, limit=200)
    alone = cpu_of(partial(read_and_kept, app, some))
    batches: list[int] = []
    spent = cpu_of(lambda: batches.extend(iter(triage.catch_up, 0)))
    explained = cpu_of(lambda: [triage.complete_next() for _ in range(200)])
    assert sum(batches) == TRIAGED
    print(
        f"\n{TRIAGED:,} imported open tickets: {1000 * spent / TRIAGED:.2f} ms CPU in batches, "
        f"{1000 * alone / 200:.1f} ms one by one; reasons and steps {1000 * explained / 200:.1f} ms"
    )


def read_and_kept(app: FastAPI, some: Sequence[Ticket]) -> None:
    """As new tickets are triaged."""
    triage = app.state.services.triage
    for ticket in some:
        found = triage.read(ticket.subject, ticket.description, but=ticket.id)
        with writing(app.state.engine) as conn:
            triage.keep(conn, ticket, found, by=None)


def cpu_of(work: Callable[[], object]) -> float:
    """Seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def unindexed(engine: Engine) -> int:
    with reading(engine) as conn:
        return search.count_unindexed(conn)
