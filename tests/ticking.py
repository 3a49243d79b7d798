"""The worker's push and pull, once and at once, instead of its threads."""

import threading

from app.services.servicenow import ServiceNowService
from app.worker import WakeUps, servicenow_jobs


def tick(servicenow: ServiceNowService) -> None:
    """One look at everything that is due, but for the checks of a start."""
    servicenow.clock.look()
    for job in servicenow_jobs(servicenow, WakeUps(), threading.Event()):
        job.look(lambda: False)
