"""Incidents from ServiceNow: imports and scheduled incoming changes."""
