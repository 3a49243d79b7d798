"""THE ServiceNow module; its one door is ServiceNowService."""

from app.services.servicenow.service import ServiceNowService
from app.services.servicenow.setup import Defaults, Setup

__all__ = ["Defaults", "ServiceNowService", "Setup"]
