"""Updates to ServiceNow: requested, queued in the outbox, delivered exactly once."""
