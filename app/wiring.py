"""Wiring: settings in, services and the ServiceNow client out. Nothing else builds them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy import Engine

from app.copilot.engine import TriageEngine
from app.db import links
from app.db.engine import reading, utc_now
from app.deps import Services
from app.errors import SettingsError
from app.integrations.llm_client import LLMClient
from app.integrations.servicenow.auth import BasicAuth, OAuth
from app.integrations.servicenow.rate_limiter import RateLimiter
from app.integrations.servicenow_client import ServiceNowClient, build_slots
from app.security import ModelSigner
from app.services.accounts.service import AccountService
from app.services.articles import ArticleService
from app.services.copilot.accuracy import AccuracyService
from app.services.copilot.background import CopilotJobs
from app.services.copilot.decisions import Decisions
from app.services.copilot.drafts import DraftingService
from app.services.copilot.model_registry import ModelRegistry
from app.services.copilot.service import CopilotService
from app.services.copilot.settings import CopilotSettings
from app.services.copilot.similar import SimilarService
from app.services.copilot.suggestions import SuggestionService
from app.services.copilot.training import COMMAND, Training
from app.services.copilot.triage import TriageService
from app.services.dashboard import DashboardService
from app.services.privacy import PrivacyService
from app.services.servicenow import Context, Defaults, ServiceNowService
from app.services.tickets.service import TicketService
from app.settings import ServiceNowSettings, Settings

LEASE_MARGIN = 5


def make_client(
    settings: ServiceNowSettings,
    *,
    now: Callable[[], datetime],
    proxy_for: Callable[[str], str] = lambda _: "",
    transport: httpx.BaseTransport | None = None,
) -> ServiceNowClient | None:
    """The client, or None while variables are missing; `transport` is how it gets there."""
    if not settings.configured:
        return None
    auth: httpx.Auth
    if settings.auth_type == "basic":
        auth = BasicAuth(settings.username, settings.password)
    else:
        auth = OAuth(
            settings.token_url,
            settings.client_id,
            settings.client_secret,
            refresh_token=settings.refresh_token,
            username=settings.username,
            password=settings.password,
        )
    try:
        slots = build_slots(
            url=settings.instance_url,
            auth=auth,
            ca_file=settings.ca_file or None,
            timeout=settings.timeout_seconds,
            max_answer_mb=settings.max_answer_mb,
            proxy_for=proxy_for,
            transport=transport,
        )
    except OSError:
        raise SettingsError("SN_CA_FILE must be a certificate file (PEM).") from None
    return ServiceNowClient(
        slots,
        click_seconds=settings.timeout_seconds,
        bulk_seconds=settings.bulk_timeout_seconds,
        rate_limiter=RateLimiter(now),
    )


def make_servicenow(
    settings: Settings,
    engine: Engine,
    wake: Callable[[], None],
    *,
    now: Callable[[], datetime],
    complete: Callable[[int], object] = lambda _: None,
    transport: httpx.BaseTransport | None = None,
) -> ServiceNowService:
    """The one ServiceNow service, from values."""
    sn = settings.servicenow
    with reading(engine) as conn:
        installation = links.installation_id(conn)
    return ServiceNowService(
        Context(
            engine=engine,
            client=make_client(sn, now=now, proxy_for=settings.proxy.for_url, transport=transport),
            installation=installation,
            instance_url=sn.instance_url,
            host=sn.host,
            auth_type=sn.auth_type,
            missing=sn.missing,
            read_only=sn.read_only,
            public_url=settings.public_url,
            defaults=Defaults(
                assignment_group=sn.assignment_group, caller=sn.caller, close_code=sn.close_code
            ),
            first_retry=timedelta(seconds=sn.retry_seconds),
            settle=timedelta(seconds=sn.settle_seconds),
            pull_every=timedelta(seconds=sn.pull_seconds) if sn.pull_seconds else None,
            lease=timedelta(seconds=max(sn.settle_seconds, sn.timeout_seconds + LEASE_MARGIN)),
            history_kept=timedelta(days=settings.history_days),
            complete=complete,
            wake=wake,
            now=now,
        )
    )


def make_drafting(settings: Settings, tickets_service: TicketService) -> DraftingService:
    """Drafts by the language model that is set up; without one they are off."""
    llm = settings.llm
    client = None
    if llm.configured:
        client = LLMClient(
            base_url=llm.base_url,
            model=llm.model,
            api_key=llm.api_key,
            seconds=settings.servicenow.timeout_seconds,
            proxy_for=settings.proxy.for_url,
        )
    return DraftingService(tickets_service, client, model=llm.model, host=llm.host)


@dataclass(frozen=True, slots=True)
class CopilotServices:
    """Everything around the engine."""

    service: CopilotService
    copilot_settings: CopilotSettings
    similar: SimilarService
    suggestions: SuggestionService
    triage: TriageService
    models: ModelRegistry
    training: Training
    background: CopilotJobs


def assemble(
    database: Engine,
    *,
    secret_key: str,
    starter: Callable[[], TriageEngine],
    command: Sequence[str],
    now: Callable[[], datetime],
) -> CopilotServices:
    """`starter` makes the engine of the first day, `command` trains the desk's own."""
    models = ModelRegistry(database, signer=ModelSigner(secret_key), starter=starter, now=now)
    service = CopilotService(models.load)
    copilot_settings = CopilotSettings(database, now)
    similar = SimilarService(database, now=now)
    suggestions = SuggestionService(database, copilot=service, now=now)
    triage = TriageService(
        engine=database,
        copilot=service,
        suggestions=suggestions,
        copilot_settings=copilot_settings,
        similar=similar,
        now=now,
    )
    training = Training(
        database, models=models, copilot_settings=copilot_settings, now=now, command=command
    )
    background = CopilotJobs(copilot=service, models=models, training=training, triage=triage)
    return CopilotServices(
        service, copilot_settings, similar, suggestions, triage, models, training, background
    )


def make_services(
    settings: Settings,
    engine: Engine,
    wake: Callable[[], None],
    *,
    load_triage: Callable[[], TriageEngine] = TriageEngine.from_starter,
    training: Sequence[str] = COMMAND,
    now: Callable[[], datetime] = utc_now,
    transport: httpx.BaseTransport | None = None,
) -> Services:
    """Every service of the app; `engine` is migrated."""
    copilot = assemble(
        engine, secret_key=settings.secret_key, starter=load_triage, command=training, now=now
    )
    complete = copilot.triage.complete
    servicenow = make_servicenow(
        settings, engine, wake, now=now, complete=complete, transport=transport
    )
    return _services(settings, engine, copilot, servicenow, now=now)


def _services(
    settings: Settings,
    engine: Engine,
    copilot: CopilotServices,
    servicenow: ServiceNowService,
    *,
    now: Callable[[], datetime],
) -> Services:
    """The Copilot and ServiceNow, with the services that rest on them."""
    knowledge = ArticleService(engine, now=now)
    knowledge.load_starters()
    tickets = TicketService(
        engine, copilot=copilot.service, triage=copilot.triage, pushes=servicenow.push, now=now
    )
    idle = timedelta(hours=settings.session_idle_hours)
    return Services(
        accounts=AccountService(
            engine,
            secret_key=settings.secret_key,
            full_name=servicenow.lookups.full_name,
            idle=idle,
            now=now,
        ),
        tickets=tickets,
        copilot=copilot.service,
        knowledge=knowledge,
        similar=copilot.similar,
        suggestions=copilot.suggestions,
        privacy=PrivacyService(engine, now),
        drafting=make_drafting(settings, tickets),
        servicenow=servicenow,
        copilot_settings=copilot.copilot_settings,
        dashboard=DashboardService(engine, now),
        accuracy=AccuracyService(engine, now),
        decisions=Decisions(engine, tickets, copilot.triage),
        triage=copilot.triage,
        models=copilot.models,
        training=copilot.training,
        background=copilot.background,
    )
