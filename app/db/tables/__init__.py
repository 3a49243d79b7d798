"""Every table. Migrations build the same; a test compares the two."""

from app.db.tables.base import metadata
from app.db.tables.copilot import (
    copilot_settings,
    lesson_marks,
    lessons,
    predictions,
    trained_models,
)
from app.db.tables.desk import (
    api_tokens,
    heartbeats,
    idempotency_keys,
    installation,
    login_attempts,
    password_resets,
    sessions,
    suggestions,
    ticket_events,
    tickets,
    users,
)
from app.db.tables.incoming import incoming
from app.db.tables.knowledge import (
    articles,
    calibrations,
    deflections,
    suggestion_uses,
    suggestion_votes,
)
from app.db.tables.search import article_terms, incident_terms, ticket_terms
from app.db.tables.servicenow import (
    choices,
    connections,
    duplicates,
    exchanges,
    incidents,
    mappings,
    outbox,
    sync_rows,
    sync_runs,
    sync_streams,
)

__all__ = [
    "api_tokens",
    "article_terms",
    "articles",
    "calibrations",
    "choices",
    "connections",
    "copilot_settings",
    "deflections",
    "duplicates",
    "exchanges",
    "heartbeats",
    "idempotency_keys",
    "incident_terms",
    "incidents",
    "incoming",
    "installation",
    "lesson_marks",
    "lessons",
    "login_attempts",
    "mappings",
    "metadata",
    "outbox",
    "password_resets",
    "predictions",
    "sessions",
    "suggestion_uses",
    "suggestion_votes",
    "suggestions",
    "sync_rows",
    "sync_runs",
    "sync_streams",
    "ticket_events",
    "ticket_terms",
    "tickets",
    "trained_models",
    "users",
]
