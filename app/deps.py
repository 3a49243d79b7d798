"""Dependencies of routes: services, the current user, role checks."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import NotAllowed, SignInNeeded
from app.limits import LIMITS
from app.models.accounts import Role, User
from app.security import SECURE_PREFIX, SESSION_COOKIE
from app.services.accounts.service import AccountService
from app.services.articles import ArticleService
from app.services.copilot.accuracy import AccuracyService
from app.services.copilot.background import CopilotJobs
from app.services.copilot.decisions import Decisions as DecisionService
from app.services.copilot.drafts import DraftingService
from app.services.copilot.model_registry import ModelRegistry
from app.services.copilot.service import CopilotService
from app.services.copilot.settings import CopilotSettings
from app.services.copilot.similar import SimilarService
from app.services.copilot.suggestions import SuggestionService
from app.services.copilot.training import Training as TrainingService
from app.services.copilot.triage import TriageService
from app.services.dashboard import DashboardService
from app.services.privacy import PrivacyService
from app.services.servicenow import ServiceNowService
from app.services.tickets.service import TicketService

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one running app; `main` puts them on `app.state.services`."""

    accounts: AccountService
    tickets: TicketService
    copilot: CopilotService
    knowledge: ArticleService
    similar: SimilarService
    suggestions: SuggestionService
    privacy: PrivacyService
    drafting: DraftingService
    servicenow: ServiceNowService
    copilot_settings: CopilotSettings
    dashboard: DashboardService
    accuracy: AccuracyService
    decisions: DecisionService
    triage: TriageService
    models: ModelRegistry
    training: TrainingService
    background: CopilotJobs


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def get_accounts(request: Request) -> AccountService:
    return _services(request).accounts


async def get_tickets(request: Request) -> TicketService:
    return _services(request).tickets


async def get_copilot(request: Request) -> CopilotService:
    return _services(request).copilot


async def get_knowledge(request: Request) -> ArticleService:
    return _services(request).knowledge


async def get_copilot_settings(request: Request) -> CopilotSettings:
    return _services(request).copilot_settings


async def get_decisions(request: Request) -> DecisionService:
    return _services(request).decisions


async def get_models(request: Request) -> ModelRegistry:
    return _services(request).models


async def get_training(request: Request) -> TrainingService:
    return _services(request).training


async def get_accuracy(request: Request) -> AccuracyService:
    return _services(request).accuracy


async def get_dashboard(request: Request) -> DashboardService:
    return _services(request).dashboard


async def get_drafting(request: Request) -> DraftingService:
    return _services(request).drafting


async def live_drafting(request: Request) -> AsyncIterator[DraftingService]:
    """For the route that calls the language model."""
    yield _services(request).drafting


async def get_privacy(request: Request) -> PrivacyService:
    return _services(request).privacy


async def get_similar(request: Request) -> SimilarService:
    return _services(request).similar


async def get_suggestions(request: Request) -> SuggestionService:
    return _services(request).suggestions


async def get_servicenow(request: Request) -> ServiceNowService:
    return _services(request).servicenow


async def live_servicenow(request: Request) -> AsyncIterator[ServiceNowService]:
    """For routes that call the instance: at most eight at once, others wait without a thread."""
    yield _services(request).servicenow


async def waiting_servicenow(request: Request) -> AsyncIterator[ServiceNowService]:
    """For scripts that wait for the end of an import, with a limit of its own."""
    yield _services(request).servicenow


Accounts = Annotated[AccountService, Depends(get_accounts)]
Tickets = Annotated[TicketService, Depends(get_tickets)]
Copilot = Annotated[CopilotService, Depends(get_copilot)]
Similar = Annotated[SimilarService, Depends(get_similar)]
Suggestions = Annotated[SuggestionService, Depends(get_suggestions)]
Knowledge = Annotated[ArticleService, Depends(get_knowledge)]
Decisions = Annotated[DecisionService, Depends(get_decisions)]
Dashboard = Annotated[DashboardService, Depends(get_dashboard)]
AccuracyFigures = Annotated[AccuracyService, Depends(get_accuracy)]
Models = Annotated[ModelRegistry, Depends(get_models)]
Training = Annotated[TrainingService, Depends(get_training)]
CopilotRules = Annotated[CopilotSettings, Depends(get_copilot_settings)]
Drafting = Annotated[DraftingService, Depends(get_drafting)]
LiveDrafting = Annotated[
    DraftingService,
    Depends(live_drafting, scope="function", max_concurrency=LIMITS.drafts),
]
Privacy = Annotated[PrivacyService, Depends(get_privacy)]
# Uses the app's own database; an update is tried once, if a call slot is free now.
ServiceNow = Annotated[ServiceNowService, Depends(get_servicenow)]
LiveServiceNow = Annotated[
    ServiceNowService,
    Depends(live_servicenow, scope="function", max_concurrency=LIMITS.waiting_clicks),
]
WaitingServiceNow = Annotated[
    ServiceNowService,
    Depends(waiting_servicenow, scope="function", max_concurrency=LIMITS.waiting_pulls),
]


# Documents the scheme in OpenAPI; without a token the session cookie is used.
bearer = HTTPBearer(auto_error=False, description="An API token from the account page.")


def is_secure(request: Request) -> bool:
    """Whether this app is used over HTTPS."""
    public_url: str = request.app.state.settings.public_url
    return public_url.startswith("https://") or request.url.scheme == "https"


def session_cookie_name(request: Request) -> str:
    return f"{SECURE_PREFIX if is_secure(request) else ''}{SESSION_COOKIE}"


def session_cookie(request: Request) -> str | None:
    return request.cookies.get(session_cookie_name(request))


SessionCookie = Annotated[str | None, Depends(session_cookie)]


def by_polling(request: Request) -> bool:
    """Whether a page sent this request by itself, which does not extend the session."""
    return "X-Polling" in request.headers or "polling" in request.query_params


def current_user(
    request: Request,
    accounts: Accounts,
    cookie: SessionCookie,
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> User:
    """The user of a request, by session cookie or, under /api only, by bearer token.

    Raises SignInNeeded, NotAllowed.
    """
    if token and request.url.path.startswith("/api/"):
        user = accounts.user_of_token(token.credentials, writes=request.method not in SAFE_METHODS)
    else:
        user = accounts.sessions.user(cookie, active=not by_polling(request))
    if user is None:
        raise SignInNeeded("Log in or send a valid API token.")
    _keep(request, user)
    return user


def recognise(request: Request) -> None:
    """Set the user of a request that no route handled, so that error pages have navigation."""
    sessions = _services(request).accounts.sessions
    if user := sessions.user(session_cookie(request), active=not by_polling(request)):
        _keep(request, user)


def _keep(request: Request, user: User) -> None:
    """Store what the layout of every page shows for this user."""
    request.state.user = user
    servicenow = _services(request).servicenow
    if not request.url.path.startswith("/api/") and user.role.may_act_as(Role.AGENT):
        request.state.waiting = servicenow.waiting_count()
        if request.url.path.startswith("/servicenow"):
            request.state.rest = servicenow.connection.rest()


CurrentUser = Annotated[User, Depends(current_user)]


def require(role: Role) -> Callable[[User], User]:
    """A dependency that raises NotAllowed for users without `role`."""

    def guard(user: CurrentUser) -> User:
        if not user.role.may_act_as(role):
            raise NotAllowed(f"You need the {role} role for this action.")
        return user

    return guard
