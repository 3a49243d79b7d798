"""Accounts, sessions, passwords and the throttle of log-ins."""
