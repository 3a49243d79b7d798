"""The ServiceNow integration. Its only entry point is ServiceNowService."""

from app.services.servicenow.context import Context, Defaults
from app.services.servicenow.service import ServiceNowService

__all__ = ["Context", "Defaults", "ServiceNowService"]
