"""Tables of the Copilot: what it said, how it is set."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from app.db.engine import UtcDateTime
from app.db.tables.base import metadata

# One row per ticket and field each time it is triaged; those before the last are superseded.
predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("field", String(20), nullable=False),
    Column("value", String(40)),
    Column("sure", Boolean, nullable=False),
    Column("shown", Boolean, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("model", String(60), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("runner_up", String(40)),
    Column("words_for", JSON, nullable=False),
    Column("words_against", JSON, nullable=False),
    Column("neighbours", JSON, nullable=False),
    Column("impact", Integer),
    Column("urgency", Integer),
    Column("taught_by", String(254)),
    Column("taught_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("superseded_at", UtcDateTime),
    Column("verdict", String(10)),
    Column("settled_by", String(254)),
    Column("settled_at", UtcDateTime),
    Column("settled_from", String(40)),
    Column("settled_to", String(40)),
    # 0015: right or wrong by a person's word; NULL while nobody decided, and where silence,
    # or a correction that is merely repeated, proves nothing
    Column("proof", Boolean),
    Index("ix_predictions_ticket_id_field", "ticket_id", "field"),
    Index("ix_predictions_record", "field", "proof", "confidence"),
    Index("ix_predictions_created_at", "created_at", "ticket_id"),
    Index("ix_predictions_verdict", "verdict", "created_at", "ticket_id"),
)

# Written only, never changed: the newest row of a name is how it is set, the others are history.
copilot_settings = Table(
    "copilot_settings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(40), nullable=False, index=True),
    Column("value", JSON, nullable=False),
    Column("changed_by", String(254), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

# Corrections by people, to be repeated for the same text at once; the newest holds.
lessons = Table(
    "lessons",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("field", String(20), nullable=False),
    Column("value", String(40), nullable=False),
    Column("impact", Integer),
    Column("urgency", Integer),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("taught_by", String(254), nullable=False),
    Column("taught_at", UtcDateTime, nullable=False),
)

# The sketch of a lesson's text, by which nearly equal texts find it.
lesson_marks = Table(
    "lesson_marks",
    metadata,
    Column("lesson_id", ForeignKey("lessons.id", ondelete="CASCADE"), primary_key=True),
    Column("mark", BigInteger, primary_key=True, index=True),
)

# The desk's own models. `slot` is 1 while one is asked for or made, so that only one can be.
trained_models = Table(
    "trained_models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("state", String(10), nullable=False),
    Column("slot", Integer, unique=True),
    Column("asked_by", String(254)),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
    Column("own", Integer, nullable=False, server_default=text("0")),
    Column("version", String(60)),
    Column("data_hash", String(64)),
    Column("figures", JSON),
    Column("content", LargeBinary),
    Column("signature", String(100)),
    sqlite_autoincrement=True,
)
