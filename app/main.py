"""Wiring: settings in, a running app out."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp

from anyio import Semaphore
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from sqlalchemy import Engine

from app import logs
from app.copilot.engine import TriageEngine
from app.db import migrate
from app.db.engine import make_engine, utc_now
from app.db.files import private_folder
from app.deps import Services, recognise
from app.middleware import BodyLimit, SameOrigin, SecurityHeaders, UnexpectedErrors, ValidHost
from app.proxies import ForwardedHeaders, Proxies
from app.routes.table import routes
from app.services.copilot.training import COMMAND
from app.services.health import HealthService
from app.settings import Settings
from app.traffic import CountRequests, Traffic
from app.version import VERSION
from app.web import ROOT, install_error_handlers, make_templates
from app.wiring import make_services
from app.worker import WakeUps, Worker

# Each takes 19 MiB and a core.
PASSWORD_CHECKS_AT_ONCE = 2


def kept_secret(path: Path) -> str:
    """A secret made once and kept in a file that only this account may read.

    The file appears whole: of several processes that start at once, all read the first one's.
    """
    if not path.exists():
        descriptor, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_text(encoding="utf-8").strip()


def with_secret_key(settings: Settings) -> Settings:
    """The settings with a SECRET_KEY: the one set, or one kept beside the data."""
    if settings.secret_key:
        return settings
    folder = ROOT / "data"
    private_folder(folder)
    return replace(settings, secret_key=kept_secret(folder / "secret_key"))


@contextmanager
def offline_services(
    settings: Settings, *, now: Callable[[], datetime] = utc_now
) -> Iterator[Services]:
    """The services for one command of the command line: a migrated database, no worker."""
    engine = make_engine(settings.database_url)
    migrate.prepare(engine)
    services = make_services(settings, engine, wake=lambda: None, now=now)
    yield services
    services.drafting.close()
    services.servicenow.close()
    engine.dispose()


def create_app(
    settings: Settings,
    *,
    load_triage: Callable[[], TriageEngine] = TriageEngine.from_starter,
    training: Sequence[str] = COMMAND,
    now: Callable[[], datetime] = utc_now,
    engine: Engine | None = None,
) -> FastAPI:
    """The app for these settings: its database is migrated, its worker runs with its lifespan.

    `engine` is one made before for the same `DATABASE_URL`.
    """
    settings = with_secret_key(settings)
    engine = engine or make_engine(settings.database_url)
    migrate.prepare(engine)
    wake_ups, traffic = WakeUps(), Traffic()
    services = make_services(
        settings, engine, wake_ups.set, load_triage=load_triage, training=training, now=now
    )
    if engine.dialect.name == "sqlite":
        # One process per SQLite file: what was sending or training before this start is gone.
        services.servicenow.recover()
        services.training.recover()
    pulse = HealthService(engine, longest_step=_longest_step(settings))
    worker = _worker(services, pulse, wake_ups, traffic, seconds=settings.worker_seconds)
    app = FastAPI(
        title="Smart IT Copilot",
        version=VERSION,
        description="Authenticate with `Authorization: Bearer <token>`.",
        lifespan=_lifespan(worker),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=list(routes()),
    )
    app.state.services, app.state.health = services, pulse
    app.state.engine, app.state.people = engine, services.accounts.profiles.people
    _install(app, settings, now)
    app.add_middleware(CountRequests, traffic=traffic)
    return app


def _longest_step(settings: Settings) -> float:
    """Seconds that a job may be silent: a page of a bulk read that is asked for twice."""
    return max(3 * settings.worker_seconds, 2 * settings.servicenow.bulk_timeout_seconds + 30)


def _worker(
    services: Services, pulse: HealthService, wake_ups: WakeUps, traffic: Traffic, *, seconds: float
) -> Worker:
    return Worker(
        services.servicenow,
        services.background,
        services.similar,
        services.knowledge,
        pulse,
        wake_ups,
        traffic,
        seconds=seconds,
    )


def _lifespan(worker: Worker) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The worker runs while the app serves, and its end closes ServiceNow; then the rest closes."""

    @asynccontextmanager
    async def frame(app: FastAPI) -> AsyncIterator[None]:
        services: Services = app.state.services
        services.copilot.start()
        services.similar.start()
        worker.start()
        yield
        worker.stop()
        services.drafting.close()
        app.state.engine.dispose()

    return frame


def _install(app: FastAPI, settings: Settings, now: Callable[[], datetime]) -> None:
    """What the settings say of pages and doors."""
    app.state.settings, app.state.now = settings, now
    app.state.demo_accounts = ()
    app.state.recognise = recognise
    app.state.password_checks = Semaphore(PASSWORD_CHECKS_AT_ONCE)
    app.state.templates = make_templates(
        demo=settings.demo,
        click_seconds=settings.servicenow.timeout_seconds,
        drafting=settings.llm.configured,
        llm_missing=settings.llm.missing,
    )
    install_error_handlers(app)
    app.mount("/static", StaticFiles(directory=ROOT / "static"), name="static")
    app.add_middleware(BodyLimit)
    app.add_middleware(SameOrigin, public_url=settings.public_url)
    app.add_middleware(ValidHost)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(SecurityHeaders, https=settings.public_url.startswith("https://"))
    app.add_middleware(logs.RequestLog)
    app.state.proxies = Proxies(settings.trusted_proxies)
    app.add_middleware(ForwardedHeaders, proxies=app.state.proxies)
