"""The ServiceNow integration. Its only entry point is ServiceNowService."""

from app.services.servicenow.context import Defaults, Setup
from app.services.servicenow.service import ServiceNowService

__all__ = ["Defaults", "ServiceNowService", "Setup"]
