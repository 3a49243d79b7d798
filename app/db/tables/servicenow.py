"""Tables of the integration: outbox, cached incidents, import runs, the instance."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.db.engine import UtcDateTime
from app.db.tables.base import metadata

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
    # When a write of this item last went out, or was about to: by the instance's clock.
    Column("sent_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(254), nullable=False),
    Column("settled_at", UtcDateTime),
    Column("error", Text),
    Column("error_kind", String(20)),
    # 0030: when it was let go by itself because its cause was gone, and last wanted by a person
    Column("released_at", UtcDateTime),
    Column("renewed_at", UtcDateTime),
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
    Index("ix_outbox_correlation_id", "correlation_id"),
    sqlite_autoincrement=True,
)

# Keys of creates that no ticket will use again: of links that ended, and of records that were
# found to be made by another copy of this database.
spent_keys = Table(
    "spent_keys",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("spent_at", UtcDateTime, nullable=False),
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
    Index("ix_incidents_updated_at_state", "updated_at", "state"),
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
    Column("updated_from", UtcDateTime),
    Column("updated_until", UtcDateTime),
    # Set while an undo is under way: when a worker may go on with it.
    Column("undo_due_at", UtcDateTime),
    Column("undone_at", UtcDateTime),
    Column("undone_by", String(254)),
    # The newest N rows end with this one; without it there is nothing beyond the limit.
    Column("oldest_stamp", UtcDateTime),
    Column("oldest_sys_id", String(32)),
    # The newest stamp on the instance when the run began.
    Column("newest_stamp", UtcDateTime),
    # Who works on it counts one on; whoever counted before writes no more.
    Column("claims", Integer, nullable=False, server_default=text("0")),
    Column("waiting_until", UtcDateTime),
    Column("stumbles", Integer, nullable=False, server_default=text("0")),
    # Since when, and since how many rows, the rate is measured.
    Column("measured_from", UtcDateTime),
    Column("measured_rows", Integer, nullable=False, server_default=text("0")),
    Column("fetched", Integer, nullable=False, server_default=text("0")),
    Column("hidden", Integer, nullable=False, server_default=text("0")),
    Column("total", Integer),
    Column("created", Integer, nullable=False, server_default=text("0")),
    Column("updated", Integer, nullable=False, server_default=text("0")),
    Column("unchanged", Integer, nullable=False, server_default=text("0")),
    Column("skipped", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("reasons", JSON, nullable=False),
    Column("error", Text),
    # What an undo took away, and why it left the rest.
    Column("removed", Integer, nullable=False, server_default=text("0")),
    Column("kept_touched", Integer, nullable=False, server_default=text("0")),
    Column("kept_pushed", Integer, nullable=False, server_default=text("0")),
    # Always 1: with the index over it one run is open at a time.
    Column("slot", Integer, nullable=False, server_default=text("1")),
    Index("ix_sync_runs_state", "state"),
    Index(
        "uq_sync_runs_open",
        "slot",
        unique=True,
        sqlite_where=text("state IN ('queued', 'running')"),
        postgresql_where=text("state IN ('queued', 'running')"),
    ),
    sqlite_autoincrement=True,
)

# The ranges of sys_ids that a run reads side by side, and how far each has come.
sync_streams = Table(
    "sync_streams",
    metadata,
    Column("run_id", ForeignKey("sync_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("lower", String(32), nullable=False),
    Column("upper", String(32), nullable=False),
    Column("last_sys_id", String(32), nullable=False),
    Column("finished", Boolean, nullable=False),
    Column("expected", Integer),
)

# What became of each row of an import or a dry run.
sync_rows = Table(
    "sync_rows",
    metadata,
    Column("run_id", ForeignKey("sync_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("sys_id", String(32), primary_key=True),
    Column("number", Text, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ticket_id", Integer),
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
    # Pushes wait while this is set.
    # off: changes made there are not taken into tickets. Unset is on.
    Column("pulling", Boolean),
    Column("paused_at", UtcDateTime),
    Column("paused_by", String(254)),
    Column("paused_reason", Text),
    # The connection test that runs or ran last, and its steps so far.
    Column("test_started_at", UtcDateTime),
    Column("test_finished_at", UtcDateTime),
    Column("test_checks", JSON),
    # Rows of one bulk page that the instance coped with; none until it cancelled a larger one.
    Column("page_size", Integer),
    # Failures of one kind in a row, and the rest that they brought; the next is twice as long.
    Column("failures", Integer),
    Column("failing_kind", String(20)),
    Column("failing_reason", Text),
    Column("failing_since", UtcDateTime),
    Column("rests", Integer),
    Column("rests_until", UtcDateTime),
    # Whether an incident can be found by what a create sends; unknown until one was created.
    Column("keeps_correlation_id", Boolean),
    Column("keeps_sys_id", Boolean),
    # When this database was noticed to be restored or copied, the incident that showed it, and
    # the admin's word that creates may go on.
    Column("restored_at", UtcDateTime),
    Column("restored_number", String(40)),
    Column("creates_released_at", UtcDateTime),
    Column("creates_released_by", String(254)),
    # 0030: when it worked again after a failure
    Column("recovered_at", UtcDateTime),
    # 0031: by field, how far the last writes of it moved sys_mod_count, and how often in a row
    Column("write_steps", JSON(none_as_null=True)),
)

# Incidents that carry a ticket's key beside the one it is linked to.
duplicates = Table(
    "duplicates",
    metadata,
    Column("sys_id", String(32), primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("number", Text, nullable=False),
    Column("host", String(253), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("cancelled_at", UtcDateTime),
    Column("cancelled_by", String(254)),
    Index("ix_duplicates_ticket_id", "ticket_id"),
)

# The history: what was exchanged with the instance about a ticket or a run.
exchanges = Table(
    "exchanges",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("direction", String(4), nullable=False),
    Column("what", String(10), nullable=False),
    Column("ticket_id", Integer),
    Column("run_id", Integer),
    Column("number", String(40), nullable=False),
    Column("who", String(254)),
    Column("attempt", Integer, nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("status", String(40), nullable=False),
    Column("transaction_id", String(40), nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("calls", JSON, nullable=False),
    Index("ix_exchanges_at", "at"),
    Index("ix_exchanges_ticket_id", "ticket_id"),
    Index("ix_exchanges_number", "number"),
)

# What an admin made of the maps between our words and an instance's values.
mappings = Table(
    "mappings",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("maps", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changed_by", String(254), nullable=False),
)

# Each change of them in the words of its day: written only, so that the trail is kept.
mapping_changes = Table(
    "mapping_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", String(253), nullable=False, index=True),
    Column("changes", JSON, nullable=False),
    Column("changed_by", String(254), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
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
