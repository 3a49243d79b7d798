"""Settings and dependencies shared by all parts of the ServiceNow service."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.db.engine import utc_now
from app.errors import Invalid, NotConfigured
from app.integrations.servicenow_client import ServiceNowClient, incident_url

REASON_LENGTH = 500


def checked_reason(text: str, refusal: str) -> str:
    """The reason without outer spaces. Raises Invalid with `refusal` if it is empty or too long."""
    reason = text.strip()
    if not reason or len(reason) > REASON_LENGTH:
        said = f"Enter a reason of up to {REASON_LENGTH} characters."
        raise Invalid(refusal, fields={"reason": said})
    return reason


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default values of an update: sys_ids of a group and a caller, and a close code."""

    assignment_group: str = ""
    caller: str = ""
    close_code: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """Configuration of the service. `client` is None if required variables are missing."""

    engine: Engine
    client: ServiceNowClient | None
    installation: str
    instance_url: str = ""
    host: str = ""
    auth_type: str = "basic"
    missing: tuple[str, ...] = ()
    read_only: bool = False
    public_url: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    first_retry: timedelta = timedelta(seconds=60)
    settle: timedelta = timedelta(seconds=75)
    # A claim older than this is stale. It is longer than any delivery may take.
    lease: timedelta = timedelta(seconds=75)
    # Rows per page of an import. Larger pages are not faster.
    page_size: int = 1_000
    # Interval of checks for incoming changes. None turns scheduled checks off.
    pull_every: timedelta | None = None
    # Retention of the sync history.
    history_kept: timedelta = timedelta(days=90)
    # Creates the AI suggestions of a ticket (by id) if they do not exist yet.
    complete: Callable[[int], object] = lambda _: None
    now: Callable[[], datetime] = utc_now
    wake: Callable[[], None] = lambda: None

    def connected_client(self) -> ServiceNowClient:
        """The client. Raises NotConfigured naming the missing variables."""
        if self.client is None:
            raise NotConfigured(self.missing)
        return self.client

    def ticket_url(self, ticket_id: int) -> str:
        """URL of the ticket page for a work note. Empty without PUBLIC_URL."""
        return f"{self.public_url}/tickets/{ticket_id}" if self.public_url else ""

    def url_of(self, sys_id: str | None) -> str | None:
        """URL of the incident page on the instance. None without a sys_id or an instance URL."""
        if not sys_id or not self.instance_url:
            return None
        return incident_url(self.instance_url, sys_id)
