"""The words of what can be found. Migration 0009 puts a full-text index over each table:

on SQLite an FTS5 table (`ticket_words` over `ticket_terms`) that triggers keep in step, on
PostgreSQL a generated column `words` of type tsvector with a GIN index.

`problem` holds the words a trouble is told with, `rest` the other words it is found by; both are
lower-case words with one space between.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from app.db.tables.base import metadata

ticket_terms = Table(
    "ticket_terms",
    metadata,
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("problem", Text, nullable=False),
    Column("rest", Text, nullable=False),
)

article_terms = Table(
    "article_terms",
    metadata,
    Column("article_id", ForeignKey("articles.id", ondelete="CASCADE"), primary_key=True),
    Column("problem", Text, nullable=False),
    Column("rest", Text, nullable=False),
)

incident_terms = Table(
    "incident_terms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "sys_id",
        ForeignKey("incidents.sys_id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("problem", Text, nullable=False),
    Column("rest", Text, nullable=False),
)

# What waits for its words to be written: `ref` is the key of its owner, that of a ticket with
# leading zeros, so that the newest can go first. `fresh` has no words yet; the others have those of
# an earlier version of the app, and are found by them meanwhile.
unindexed = Table(
    "unindexed",
    metadata,
    Column("noun", String(10), primary_key=True),
    Column("ref", String(32), primary_key=True),
    Column("fresh", Boolean, nullable=False),
    Index("ix_unindexed_noun_fresh_ref", "noun", "fresh", "ref"),
)
