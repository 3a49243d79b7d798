"""Accounts, sessions, passwords and the throttling of log-ins."""
