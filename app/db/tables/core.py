"""Tables of the desk itself: people, tickets, their timeline, the worker."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    text,
    true,
)

from app.db.engine import UtcDateTime
from app.db.synced_values import AgreedJSON
from app.db.tables.base import metadata

# One row: who this installation is. Part of every correlation id.
installation = Table(
    "installation",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_at", UtcDateTime, nullable=False),
    # 0036: an IANA name; without one the browser's zone is used
    Column("time_zone", String(64)),
    # 0038: what pages show, and the key that all spellings of the same name share
    Column("display_name", String(80), nullable=False),
    Column("name_key", String(160), nullable=False, unique=True),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_active_at", UtcDateTime, nullable=False),
    Column("browser", String(60), nullable=False, server_default=text("''")),
    Column("address", String(60), nullable=False, server_default=text("''")),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("scope", String(10), nullable=False, server_default=text("'admin'")),
    Column("expires_at", UtcDateTime),
)

password_resets = Table(
    "password_resets",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# Failed log-ins per account and per address; the row goes with the first success.
login_attempts = Table(
    "login_attempts",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", UtcDateTime, nullable=False),
    Column("locked_until", UtcDateTime),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# How much the effective priority weighs, the person's own before the predicted one. The indexed
# expression and the one of a query must be written alike, without parameters.
TICKET_WEIGHT = (
    "(CASE coalesce(priority, predicted_priority)"
    " WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'high' THEN 3 WHEN 'urgent' THEN 4"
    " ELSE 0 END)"
)

# Whose turn triage is first: open and in progress, then pending; NULL for what is over. Written
# like TICKET_WEIGHT for the same reason, and without `status IN`, which SQLite would rather read
# from another index and sort.
TICKET_TURN = "(CASE status WHEN 'open' THEN 0 WHEN 'in_progress' THEN 0 WHEN 'pending' THEN 1 END)"
# What triage has not read as it is now.
TICKET_UNTRIAGED = f"triaged_at IS NULL AND {TICKET_TURN} IS NOT NULL"
# What was triaged in a batch, and is predicted without its reasons and its steps so far.
TICKET_UNEXPLAINED = f"reasons_pending AND {TICKET_TURN} IS NOT NULL"

tickets = Table(
    "tickets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("requester_email", String(254), nullable=False),
    Column("status", String(20), nullable=False),
    Column("priority", String(20)),
    Column("predicted_priority", String(20)),
    Column("priority_confidence", Float),
    Column("category", String(40)),
    Column("predicted_category", String(40)),
    Column("category_confidence", Float),
    Column("triage_model", String(40)),
    Column("assignee", String(254)),
    Column("resolution_code", String(80)),
    Column("resolution_notes", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    # 0007: what triage estimated, what people set, and when it was last triaged
    Column("impact", Integer),
    Column("urgency", Integer),
    Column("predicted_impact", Integer),
    Column("predicted_urgency", Integer),
    Column("triaged_at", UtcDateTime),
    # 0002: the tie to ServiceNow
    Column("sn_sys_id", String(32)),
    Column("sn_number", String(40)),
    Column("sn_last_sync_at", UtcDateTime),
    Column("sn_sync_status", String(20)),
    Column("sn_last_error", Text),
    Column("sn_host", String(253)),
    Column("sn_generation", Integer, nullable=False, server_default=text("1")),
    Column("sn_agreed", AgreedJSON),
    # 0010: the assignment group there, and what both sides changed
    Column("assignment_group", String(32)),
    Column("assignment_group_name", Text),
    Column("sn_conflicts", JSON(none_as_null=True)),
    Column("sn_conflict_since", UtcDateTime),
    # 0015: since when the incident cannot be seen any more
    Column("sn_missing_since", UtcDateTime),
    # 0028: the random key of its next create; an imported ticket gets one when it is unlinked
    Column("sn_key", String(32)),
    # 0031: a warning about the incident, until a person dismisses it
    Column("sn_notice", Text),
    # 0035: triaged in a batch; its reasons and steps are to be made
    Column("reasons_pending", Boolean, nullable=False, server_default=false()),
    Index("ix_tickets_sn_sys_id", "sn_sys_id", unique=True),
    Index("ix_tickets_sn_number", "sn_number"),
    Index("ix_tickets_status_updated_at", "status", "updated_at"),
    Index("ix_tickets_updated_at", "updated_at"),
    Index("ix_tickets_created_at", "created_at"),
    Index("ix_tickets_requester_email", "requester_email"),
    Index("ix_tickets_assignee", "assignee"),
    # 0035: what waits for triage, and for its reasons, in the order of their turn
    Index(
        "ix_tickets_untriaged",
        text(TICKET_TURN),
        text("id DESC"),
        sqlite_where=text(TICKET_UNTRIAGED),
        postgresql_where=text(TICKET_UNTRIAGED),
    ),
    Index(
        "ix_tickets_unexplained",
        text(TICKET_TURN),
        text("id DESC"),
        sqlite_where=text(TICKET_UNEXPLAINED),
        postgresql_where=text(TICKET_UNEXPLAINED),
    ),
    # 0026: lists by what a person set or triage predicted
    Index("ix_tickets_weight", text(TICKET_WEIGHT), "updated_at"),
    Index(
        "ix_tickets_effective_category",
        text("coalesce(category, predicted_category)"),
        "updated_at",
    ),
    Index(
        "ix_tickets_sn_conflict_since",
        "sn_conflict_since",
        sqlite_where=text("sn_conflict_since IS NOT NULL"),
        postgresql_where=text("sn_conflict_since IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

ticket_events = Table(
    "ticket_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("author", String(254)),
    Column("body", Text, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=false()),
    Column("created_at", UtcDateTime, nullable=False),
    # 0002: for notes only
    Column("push", String(10)),
    Column("pushed_at", UtcDateTime),
    # 0015: the row of the incident's journal that this is
    Column("sn_journal_id", String(32)),
    # 0028: the random mark by which a note is recognized there
    Column("sn_mark", String(40)),
    # 0037: each field that this entry changed, before and after
    Column("changes", JSON(none_as_null=True)),
    Index("uq_ticket_events_ticket_id_sn_journal_id", "ticket_id", "sn_journal_id", unique=True),
    sqlite_autoincrement=True,
)

suggestions = Table(
    "suggestions",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("source", String(100), nullable=False),
    Column("source_title", String(200), nullable=False),
    Column("public", Boolean, nullable=False),
    Column("kind", String(10), nullable=False, server_default=text("'article'")),
)
