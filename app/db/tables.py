"""Every table. Migrations build the same; a test compares the two."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from app.db.engine import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row: who this installation is. Part of every correlation id and chosen sys_id.
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
)

sessions = Table(
    "sessions",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
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
    # 0002: the tie to ServiceNow
    Column("sn_sys_id", String(32)),
    Column("sn_number", String(40)),
    Column("sn_last_sync_at", UtcDateTime),
    Column("sn_sync_status", String(20)),
    Column("sn_last_error", Text),
    Column("sn_host", String(253)),
    Column("sn_generation", Integer, nullable=False, server_default=text("1")),
    Column("sn_agreed", JSON),
    Index("ix_tickets_sn_sys_id", "sn_sys_id", unique=True),
    Index("ix_tickets_status_updated_at", "status", "updated_at"),
    Index("ix_tickets_updated_at", "updated_at"),
    Index("ix_tickets_created_at", "created_at"),
    Index("ix_tickets_requester_email", "requester_email"),
    Index("ix_tickets_assignee", "assignee"),
)

ticket_events = Table(
    "ticket_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("author", String(254)),
    Column("body", Text, nullable=False),
    Column("internal", Boolean, nullable=False, server_default=false()),
    Column("created_at", UtcDateTime, nullable=False),
    # 0002: for notes only
    Column("push", String(10)),
    Column("pushed_at", UtcDateTime),
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
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("state", String(20), nullable=False),
    Column("host", String(253), nullable=False),
    Column("event_id", ForeignKey("ticket_events.id", ondelete="CASCADE")),
    Column("sys_id", String(32)),
    Column("correlation_id", String(100)),
    Column("assignment_group", String(32)),
    Column("close_code", String(80)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("not_before", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),
    # When a write may have gone out whose end is unknown.
    Column("unconfirmed_since", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(254), nullable=False),
    Column("settled_at", UtcDateTime),
    Column("error", Text),
    Column("error_kind", String(20)),
    # One create per ticket and generation, one push per note: a second click joins the first.
    Index(
        "uq_outbox_create",
        "ticket_id",
        "generation",
        unique=True,
        sqlite_where=text("kind = 'create' AND state <> 'discarded'"),
        postgresql_where=text("kind = 'create' AND state <> 'discarded'"),
    ),
    UniqueConstraint("event_id"),
    Index("ix_outbox_ticket_id_state", "ticket_id", "state"),
    Index("ix_outbox_state_not_before", "state", "not_before"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("sys_id", String(32), primary_key=True),
    Column("number", Text, nullable=False),
    Column("short_description", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("assignment_group", Text, nullable=False),
    Column("assignment_group_name", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("caller_name", Text, nullable=False),
    Column("caller_email", Text, nullable=False),
    Column("assigned_to", Text, nullable=False),
    Column("assigned_to_name", Text, nullable=False),
    Column("assigned_to_email", Text, nullable=False),
    Column("close_code", Text, nullable=False),
    Column("close_notes", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("opened_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("mod_count", Integer, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    Index("ix_incidents_updated_at_sys_id", "updated_at", "sys_id"),
    Index("ix_incidents_state_updated_at", "state", "updated_at"),
    Index("ix_incidents_number", "number"),
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("import_tickets", Boolean, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("row_limit", Integer, nullable=False),
    Column("query", Text, nullable=False),
    Column("incident_state", String(40), nullable=False),
    Column("created_by", String(254), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("claimed_at", UtcDateTime),
    # Where the scan stands: the newest N rows are those not older than `oldest_stamp`.
    Column("oldest_stamp", UtcDateTime),
    Column("last_sys_id", String(32), nullable=False),
    Column("fetched", Integer, nullable=False, server_default=text("0")),
    Column("total", Integer),
    Column("created", Integer, nullable=False, server_default=text("0")),
    Column("updated", Integer, nullable=False, server_default=text("0")),
    Column("unchanged", Integer, nullable=False, server_default=text("0")),
    Column("skipped", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("reasons", JSON, nullable=False),
    Column("error", Text),
    Index("ix_sync_runs_state", "state"),
)

# What was last known of the instance: one row per host.
connections = Table(
    "connections",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("checked_at", UtcDateTime),
    Column("last_ok_at", UtcDateTime),
    Column("last_failed_at", UtcDateTime),
    Column("last_error", Text),
    Column("last_error_kind", String(20)),
    Column("last_hint", Text),
    Column("latency_ms", Integer),
    Column("fetched_at", UtcDateTime),
)

# Small lists of the instance: choices per element, and its assignment groups.
choices = Table(
    "choices",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("element", String(40), primary_key=True),
    Column("value", String(100), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("position", Integer, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
)

# The worker's pulse, for /readyz.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("beat_at", UtcDateTime, nullable=False),
)
