"""What every part of the ServiceNow service works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.db.engine import utc_now
from app.errors import Invalid, NotConfigured
from app.integrations.servicenow_client import ServiceNowClient, incident_url

REASON_LENGTH = 500


def checked_reason(text: str, refusal: str) -> str:
    """Why somebody undoes something. Raises Invalid with the refusal when nothing is said."""
    reason = text.strip()
    if not reason or len(reason) > REASON_LENGTH:
        said = f"Enter a reason of up to {REASON_LENGTH} characters."
        raise Invalid(refusal, fields={"reason": said})
    return reason


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a push falls back to: sys_ids of a group and a caller, and a close code."""

    assignment_group: str = ""
    caller: str = ""
    close_code: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """The connection as the service sees it. `client` is None when variables are missing."""

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
    # A sender that has not answered for this long is dead: longer than any delivery may take.
    lease: timedelta = timedelta(seconds=75)
    # Rows of one page of a pull, until the instance cancels one: larger pages gain nothing more.
    page_size: int = 1_000
    # How often changes are pulled by themselves; None is never.
    pull_every: timedelta | None = None
    # How long the history is kept.
    history_kept: timedelta = timedelta(days=90)
    # Makes the suggested steps of a ticket, by its id, if they are still to be made.
    complete: Callable[[int], object] = lambda _: None
    now: Callable[[], datetime] = utc_now
    wake: Callable[[], None] = lambda: None

    def connected_client(self) -> ServiceNowClient:
        """The client. Raises NotConfigured naming the missing variables."""
        if self.client is None:
            raise NotConfigured(self.missing)
        return self.client

    def ticket_url(self, ticket_id: int) -> str:
        """The ticket's page here, for a work note; empty without PUBLIC_URL."""
        return f"{self.public_url}/tickets/{ticket_id}" if self.public_url else ""

    def url_of(self, sys_id: str | None) -> str | None:
        """The incident's page on the instance, for people."""
        if not sys_id or not self.instance_url:
            return None
        return incident_url(self.instance_url, sys_id)
