"""What a fresh instance holds: field names, choices, groups, people."""

import hashlib

INCIDENT_DEFAULTS = {
    "active": "true",
    "additional_assignee_list": "",
    "approval": "not requested",
    "assigned_to": "",
    "assignment_group": "",
    "business_duration": "",
    "business_service": "",
    "business_stc": "",
    "calendar_duration": "",
    "calendar_stc": "",
    "caller_id": "",
    "category": "inquiry",
    "caused_by": "",
    "child_incidents": "0",
    "close_code": "",
    "close_notes": "",
    "closed_at": "",
    "closed_by": "",
    "cmdb_ci": "",
    "comments": "",
    "comments_and_work_notes": "",
    "company": "",
    "contact_type": "",
    "correlation_display": "",
    "correlation_id": "",
    "description": "",
    "due_date": "",
    "escalation": "0",
    "hold_reason": "",
    "impact": "3",
    "incident_state": "1",
    "knowledge": "false",
    "location": "",
    "made_sla": "true",
    "notify": "1",
    "opened_at": "",
    "opened_by": "",
    "parent_incident": "",
    "priority": "5",
    "problem_id": "",
    "reassignment_count": "0",
    "reopen_count": "0",
    "resolved_at": "",
    "resolved_by": "",
    "severity": "3",
    "short_description": "",
    "sla_due": "",
    "state": "1",
    "subcategory": "",
    "sys_class_name": "incident",
    "sys_domain": "global",
    "sys_domain_path": "/",
    "sys_tags": "",
    "upon_approval": "proceed",
    "upon_reject": "cancel",
    "urgency": "3",
    "watch_list": "",
    "work_notes": "",
}
JOURNALS = ("comments", "work_notes")
REFERENCES = {
    "assigned_to": "sys_user",
    "assignment_group": "sys_user_group",
    "caller_id": "sys_user",
    "closed_by": "sys_user",
    "manager": "sys_user",
    "opened_by": "sys_user",
    "resolved_by": "sys_user",
    "sys_domain": "sys_user_group",
}
CUT_AT = {"short_description": 160, "number": 40, "correlation_id": 100, "correlation_display": 100}
PRIORITY = {
    ("1", "1"): "1",
    ("1", "2"): "2",
    ("1", "3"): "3",
    ("2", "1"): "2",
    ("2", "2"): "3",
    ("2", "3"): "4",
    ("3", "1"): "3",
    ("3", "2"): "4",
    ("3", "3"): "5",
}
CHOICES = {
    "state": {
        "1": "New",
        "2": "In Progress",
        "3": "On Hold",
        "6": "Resolved",
        "7": "Closed",
        "8": "Canceled",
    },
    "impact": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "urgency": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "priority": {
        "1": "1 - Critical",
        "2": "2 - High",
        "3": "3 - Moderate",
        "4": "4 - Low",
        "5": "5 - Planning",
    },
    "category": {
        "inquiry": "Inquiry / Help",
        "software": "Software",
        "hardware": "Hardware",
        "network": "Network",
        "database": "Database",
    },
    "hold_reason": {
        "1": "Awaiting Caller",
        "3": "Awaiting Problem",
        "4": "Awaiting Vendor",
        "5": "Awaiting Change",
    },
}
CLOSE_CODES = (
    "Duplicate",
    "Known error",
    "No resolution provided",
    "Resolved by caller",
    "Resolved by change",
    "Resolved by problem",
    "Resolved by request",
    "Solution provided",
    "Workaround provided",
    "User error",
)
LEGACY_CLOSE_CODES = (
    "Solved (Work Around)",
    "Solved (Permanently)",
    "Solved Remotely (Work Around)",
    "Solved Remotely (Permanently)",
    "Not Solved (Not Reproducible)",
    "Not Solved (Too Costly)",
    "Closed/Resolved by Caller",
)
GROUPS = ("Service Desk", "Network", "Hardware", "Software", "Database")
PEOPLE = (
    ("Beth Anglin", "beth.anglin"),
    ("Abel Tuter", "abel.tuter"),
    ("Fred Luddy", "fred.luddy"),
)
# Words shown where a raw value is empty or a code, when display values are asked for.
DISPLAY = {
    "sla_due": {"": "UNKNOWN"},
    "notify": {"1": "Do Not Notify"},
    "approval": {"not requested": "Not Yet Requested"},
    "escalation": {"0": "Normal"},
    "sys_class_name": {"incident": "Incident"},
}
COUNTED = ("calendar_stc", "business_stc", "reassignment_count", "sys_mod_count")
DURATIONS = ("calendar_duration", "business_duration")


def sys_id_of(*words: str) -> str:
    """A stable sys_id, so that links and tests can name a record."""
    return hashlib.md5("/".join(words).encode(), usedforsecurity=False).hexdigest()
