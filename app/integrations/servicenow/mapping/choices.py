"""States, priorities and their words on both sides, as tables."""

from app.models.tickets import Priority, TicketStatus

AWAITING_CALLER = "1"
CANCELED = "8"
CLOSED = "7"

STATE_OF_STATUS = {
    TicketStatus.OPEN: "1",
    TicketStatus.IN_PROGRESS: "2",
    TicketStatus.PENDING: "3",
    TicketStatus.RESOLVED: "6",
    TicketStatus.CLOSED: "7",
}
STATUS_OF_STATE = {state: status for status, state in STATE_OF_STATUS.items()} | {
    CANCELED: TicketStatus.CLOSED
}
STATE_LABELS = {
    "1": "New",
    "2": "In Progress",
    "3": "On Hold",
    "6": "Resolved",
    "7": "Closed",
    "8": "Canceled",
}
PRIORITY_LABELS = {
    "1": "1 - Critical",
    "2": "2 - High",
    "3": "3 - Moderate",
    "4": "4 - Low",
    "5": "5 - Planning",
}
# ServiceNow derives its own priority from impact and urgency: what yields each of them.
IMPACT_URGENCY = {
    "1": ("1", "1"),
    "2": ("2", "1"),
    "3": ("2", "2"),
    "4": ("3", "2"),
    "5": ("3", "3"),
}
THEIR_PRIORITY = {
    Priority.URGENT: "1",
    Priority.HIGH: "2",
    Priority.MEDIUM: "3",
    Priority.LOW: "4",
}
OUR_PRIORITY = {
    "1": Priority.URGENT,
    "2": Priority.HIGH,
    "3": Priority.MEDIUM,
    "4": Priority.LOW,
    "5": Priority.LOW,
}
