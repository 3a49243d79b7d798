"""Tickets: intake, changes, lists."""
