"""A real app, a real database, a real instance over HTTP, and a clock that obeys."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine, make_url, text

from app.copilot.engine import TriageEngine
from app.db import accounts, incidents, migrate
from app.db.engine import make_engine, utc_now, writing
from app.db.tables import metadata
from app.integrations.servicenow.bulk import SMALLEST_PAGE
from app.integrations.servicenow_client import ServiceNowClient
from app.main import create_app
from app.models.accounts import Role, User
from app.security import SECURE_PREFIX, SESSION_COOKIE, hash_password
from app.services.articles import ArticleService
from app.settings import ServiceNowSettings, Settings
from app.simulator import Instance, RunningSimulator
from app.simulator.running import listening_socket
from tests.both_sides import BothSides
from tests.desk import Desk

# While somebody works; .ci/run tries properties four times as often (--hypothesis-profile default).
hypothesis_settings.register_profile("quick", max_examples=25)
hypothesis_settings.load_profile("quick")
# For `mutmut run`: which example fails is not shown there, and to shrink it takes many runs.
hypothesis_settings.register_profile(
    "mutants", max_examples=25, phases=(Phase.explicit, Phase.generate), derandomize=True
)

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
PASSWORD = "correct horse battery"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--schedules", type=int, default=200, help="random schedules to play")
    parser.addoption("--shrink", action="store_true", help="shrink a schedule that fails")


class Clock:
    """The time of the services under test."""

    def __init__(self, moment: datetime = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


@pytest.fixture(scope="session", autouse=True)
def short_waits() -> None:
    """Between the tries of a read the client waits a tenth of what it would."""
    defaults = ServiceNowClient.__init__.__kwdefaults__
    assert defaults is not None
    defaults["sleep"] = lambda seconds: time.sleep(seconds / 10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator() as running:
        yield running


@pytest.fixture
def instance(running_simulator: RunningSimulator) -> Instance:
    """A clean ServiceNow instance; `instance.faults` decides how it misbehaves."""
    made = running_simulator.instance
    until = time.monotonic() + 5
    while made.under_way and time.monotonic() < until:
        time.sleep(0.01)
    made.reset()
    return made


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated database with the starter articles, to copy: quicker than one made anew."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    ArticleService(engine).load_starters()
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def kept_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all tests: it keeps what it compiled, which costs more than running it."""
    url = os.environ.get("TEST_DATABASE_URL", "")
    path = tmp_path_factory.mktemp("desk") / "desk.db"
    made = make_engine(own_postgresql(url) if url else f"sqlite:///{path}")
    if url:
        migrate.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def engine(kept_engine: Engine, migrated_sqlite: Path) -> Iterator[Engine]:
    """An empty, migrated database: SQLite, or the PostgreSQL of TEST_DATABASE_URL."""
    if kept_engine.dialect.name == "sqlite":
        path = Path(kept_engine.url.database or "")
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        path.write_bytes(migrated_sqlite.read_bytes())
    else:
        empty_postgresql(kept_engine)
    yield kept_engine
    kept_engine.dispose()


@pytest.fixture
def empty_url(tmp_path: Path) -> Iterator[str]:
    """A database without a table: SQLite, or one beside that of TEST_DATABASE_URL."""
    url = os.environ.get("TEST_DATABASE_URL", "")
    if not url:
        yield f"sqlite:///{tmp_path / 'old.db'}"
        return
    own = make_url(own_postgresql(url))
    named = own.set(database=f"{own.database}_old")
    server = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as conn:
        conn.execute(text(f'DROP DATABASE IF EXISTS "{named.database}"'))
        conn.execute(text(f'CREATE DATABASE "{named.database}"'))
    yield named.render_as_string(hide_password=False)
    with server.connect() as conn:
        conn.execute(text(f'DROP DATABASE "{named.database}" WITH (FORCE)'))
    server.dispose()


@pytest.fixture
def database_url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@cache
def own_postgresql(url: str) -> str:
    """A database of this process beside the named one, so that tests can run side by side."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return url
    named = make_url(url)
    own = named.set(database=f"{named.database}_{worker}")
    server = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as conn:
        known = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if conn.execute(known, {"name": own.database}).first() is None:
            conn.execute(text(f'CREATE DATABASE "{own.database}"'))
    server.dispose()
    return own.render_as_string(hide_password=False)


def empty_postgresql(engine: Engine) -> None:
    names = ", ".join(name for name in metadata.tables if name != "installation")
    with engine.begin() as conn:
        conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


def servicenow_settings(url: str) -> ServiceNowSettings:
    return ServiceNowSettings(
        instance_url=url,
        auth_type="basic",
        username="copilot",
        password="copilot-secret",
        timeout_seconds=5,
        bulk_timeout_seconds=10,
        retry_seconds=60,
        settle_seconds=75,
    )


@pytest.fixture
def settings(
    database_url: str, running_simulator: RunningSimulator, instance: Instance
) -> Settings:
    """Settings that point at the simulator."""
    return Settings(
        servicenow=servicenow_settings(running_simulator.url),
        database_url=database_url,
        secret_key="a secret key for tests only",
        worker_seconds=0.05,
        public_url="http://testserver",
        # Clocks of tests jump by days.
        session_idle_hours=336,
    )


@pytest.fixture
def app(
    settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine
) -> Iterator[FastAPI]:
    """The whole app without its worker: tests look with `tick`."""
    made = create_app(settings, load_triage=lambda: triage, now=clock, engine=engine)
    yield made
    made.state.services.servicenow.close()


@pytest.fixture
def small_pages(engine: Engine, settings: Settings) -> None:
    """Bulk reads as if the instance had cancelled larger pages before."""
    with writing(engine) as conn:
        host = settings.servicenow.host
        incidents.remember_connection(conn, host, page_size=SMALLEST_PAGE)


@pytest.fixture
def unconfigured(settings: Settings, clock: Clock, triage: TriageEngine, engine: Engine) -> FastAPI:
    """The app as it is when no variable of ServiceNow is set."""
    bare = replace(settings, servicenow=ServiceNowSettings())
    return create_app(bare, load_triage=lambda: triage, now=clock, engine=engine)


@pytest.fixture(scope="session")
def triage() -> TriageEngine:
    """Trained once for all tests, each text read once: neither examples nor engine change."""
    made = TriageEngine.from_starter()
    gc.freeze()
    for name in ("triage", "shares"):
        setattr(made, name, read_once(getattr(made, name)))
    return made


def read_once(read: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def reading_of(*texts: str, **options: Any) -> Any:
        key = repr((texts, options))
        if key not in known:
            known[key] = read(*texts, **options)
        return known[key]

    return reading_of


@pytest.fixture(scope="session", autouse=True)
def portal() -> Iterator[BlockingPortal]:
    """All test clients share a loop, as all requests of a server do; a new one each costs 4 ms."""
    with start_blocking_portal() as portal:
        TestClient.portal = portal
        yield portal
        TestClient.portal = None


SignIn = Callable[[str], TestClient]


@pytest.fixture
def sign_in(app: FastAPI) -> SignIn:
    """A browser signed in as an account of this role, made when needed."""

    def browser(role: str) -> TestClient:
        return signed_in(app, role)

    return browser


@cache
def password_hash() -> str:
    """Hashed once for all test accounts: a hash is made to be slow."""
    return hash_password(PASSWORD)


def account(app: FastAPI, email: str, role: Role) -> User:
    """A new account with the test password."""
    with writing(app.state.engine) as conn:
        return accounts.add_user(
            conn, email, password_hash=password_hash(), role=role, now=utc_now()
        )


def signed_in(app: FastAPI, role: str) -> TestClient:
    user = account(app, f"{role}@example.com", Role(role))
    client = TestClient(app, headers=SAME_ORIGIN, follow_redirects=False)
    https = app.state.settings.public_url.startswith("https")
    name = f"{SECURE_PREFIX if https else ''}{SESSION_COOKIE}"
    client.cookies.set(name, app.state.services.accounts.sessions.open(user))
    return client


@pytest.fixture
def agent(sign_in: SignIn) -> TestClient:
    return sign_in("agent")


@pytest.fixture
def admin(sign_in: SignIn) -> TestClient:
    return sign_in("admin")


@pytest.fixture
def requester(sign_in: SignIn) -> TestClient:
    return sign_in("requester")


@pytest.fixture
def api(app: FastAPI) -> TestClient:
    """A script with an admin's token."""
    return script(app)


def script(app: FastAPI) -> TestClient:
    user = account(app, "script@example.com", Role.ADMIN)
    _, secret = app.state.services.accounts.create_token(user, "script")
    return TestClient(app, headers={"Authorization": f"Bearer {secret}"})


@dataclass(frozen=True)
class Live:
    """The app on a port, with its worker running."""

    app: FastAPI
    url: str

    def token(self) -> str:
        """A new admin's API token."""
        user = account(self.app, "live@example.com", Role.ADMIN)
        return str(self.app.state.services.accounts.create_token(user, "live")[1])

    def browser(self, **options: Any) -> httpx.Client:
        """A new admin, signed in; close it. `options` are those of httpx.Client."""
        user = account(self.app, "browser@example.com", Role.ADMIN)
        cookies = {SESSION_COOKIE: self.app.state.services.accounts.sessions.open(user)}
        return httpx.Client(base_url=self.url, cookies=cookies, headers=SAME_ORIGIN, **options)


@pytest.fixture
def live(settings: Settings, triage: TriageEngine, engine: Engine) -> Iterator[Live]:
    quick = replace(settings, worker_seconds=0.1, public_url="")
    app = create_app(quick, load_triage=lambda: triage, engine=engine)
    for role in Role:
        account(app, f"{role}@example.com", role)
    listening = listening_socket()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not (server.started and app.state.services.similar.ready):
        time.sleep(0.01)
    yield Live(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.fixture
def desk(app: FastAPI) -> Desk:
    """An agent at work, without a browser."""
    return Desk(app)


@pytest.fixture
def both(desk: Desk, instance: Instance, admin: TestClient) -> BothSides:
    """A linked ticket, to be edited here and there; an admin can be assigned."""
    return BothSides(desk, instance)
