"""Tables of the knowledge base."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, String, Table, Text, text

from app.db.engine import UtcDateTime
from app.db.tables.base import metadata

articles = Table(
    "articles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", String(100), nullable=False, unique=True),
    Column("title", String(200), nullable=False),
    Column("category", String(40), nullable=False),
    Column("public", Boolean, nullable=False),
    Column("keywords", String(500), nullable=False),
    Column("body", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("updated_by", String(254)),
    # A deleted article keeps its slug, so that a starter article does not come back.
    Column("deleted_at", UtcDateTime),
)

# One row: what the scores of similar texts have meant on this desk.
calibrations = Table(
    "calibrations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bins", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# What one person says of one source under one ticket.
suggestion_votes = Table(
    "suggestion_votes",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("author", String(254), primary_key=True),
    Column("helpful", Boolean, nullable=False),
    Column("why", String(500), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# What was put into a note or sent to ServiceNow, once for each way.
suggestion_uses = Table(
    "suggestion_uses",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("way", String(20), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# Questions that an article answered before they became a ticket; `question` is masked.
deflections = Table(
    "deflections",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("slug", String(100), nullable=False),
    Column("question", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)
