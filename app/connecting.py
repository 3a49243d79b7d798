"""Wiring of what lies outside: settings in, the ServiceNow service and drafting out."""

from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
from sqlalchemy import Engine

from app.db import links
from app.db.engine import reading
from app.errors import SettingsError
from app.integrations.llm_client import LLMClient
from app.integrations.servicenow_auth import BasicAuth, OAuth
from app.integrations.servicenow_client import ServiceNowClient, build_slots
from app.integrations.servicenow_pace import Pace
from app.services.drafting import DraftingService
from app.services.servicenow import Defaults, ServiceNowService, Setup
from app.services.tickets import TicketService
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
        raise SettingsError("SN_CA_FILE is not a file of certificates.") from None
    return ServiceNowClient(
        slots,
        click_seconds=settings.timeout_seconds,
        bulk_seconds=settings.bulk_timeout_seconds,
        pace=Pace(now),
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
        Setup(
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
