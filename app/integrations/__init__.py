"""The outside world: clients that know nothing of tickets, and pure mappings."""
