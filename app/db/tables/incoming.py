"""Table of what comes in by itself."""

from sqlalchemy import Column, Integer, String, Table, Text, text

from app.db.engine import UtcDateTime
from app.db.tables.base import metadata

# How far the changes of an instance were read: one row per host.
incoming = Table(
    "incoming",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("watermark", UtcDateTime),
    Column("due_at", UtcDateTime),
    # Who works on it; set by a guarded update, so that one pull runs at a time.
    Column("claimed_at", UtcDateTime),
    Column("pulled_at", UtcDateTime),
    Column("error", Text),
    Column("rows", Integer, nullable=False, server_default=text("0")),
    Column("hidden", Integer, nullable=False, server_default=text("0")),
    Column("gone", Integer, nullable=False, server_default=text("0")),
    Column("journal", String(10), nullable=False, server_default=""),
    Column("swept_at", UtcDateTime),
    Column("sweep_after", String(32), nullable=False, server_default=""),
    Column("looked_back_at", UtcDateTime),
    Column("ahead_at", UtcDateTime),
    Column("clock_ahead", Integer),
)
