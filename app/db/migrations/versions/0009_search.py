"""Full-text search: the words of tickets, articles and incidents, and an index over each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NOUNS = {"ticket": "ticket_id", "article": "article_id", "incident": "id"}


def upgrade() -> None:
    op.create_index("ix_tickets_sn_number", "tickets", ["sn_number"])
    for noun, owner in (("ticket", "tickets"), ("article", "articles")):
        op.create_table(
            f"{noun}_terms",
            sa.Column(f"{noun}_id", sa.Integer(), nullable=False),
            sa.Column("problem", sa.Text(), nullable=False),
            sa.Column("rest", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(
                [f"{noun}_id"],
                [f"{owner}.id"],
                name=f"fk_{noun}_terms_{noun}_id",
                ondelete="CASCADE",
            ),
            sa.PrimaryKeyConstraint(f"{noun}_id", name=f"pk_{noun}_terms"),
        )
    op.create_table(
        "incident_terms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sys_id", sa.String(length=32), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sys_id"], ["incidents.sys_id"], name="fk_incident_terms_sys_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incident_terms"),
        sa.UniqueConstraint("sys_id", name="uq_incident_terms_sys_id"),
    )
    index = _postgresql if op.get_bind().dialect.name == "postgresql" else _sqlite
    for noun, key in NOUNS.items():
        index(f"{noun}_terms", f"{noun}_words", key)


def _postgresql(terms: str, words: str, _key: str) -> None:
    # The words are made by us, alike for both databases: no parser of PostgreSQL reads them.
    op.execute(
        f"ALTER TABLE {terms} ADD COLUMN words tsvector GENERATED ALWAYS AS (array_to_tsvector("
        "array_remove(string_to_array(problem || ' ' || rest, ' '), ''))) STORED"
    )
    op.execute(f"CREATE INDEX ix_{words} ON {terms} USING gin (words) WITH (fastupdate = off)")


def _sqlite(terms: str, words: str, key: str) -> None:
    op.execute(
        f"CREATE VIRTUAL TABLE {words} USING fts5(problem, rest, content='{terms}',"
        f" content_rowid='{key}', detail=none, prefix='2 3',"
        " tokenize='unicode61 remove_diacritics 0')"
    )
    new = f"INSERT INTO {words}(rowid, problem, rest) VALUES (new.{key}, new.problem, new.rest);"
    old = (
        f"INSERT INTO {words}({words}, rowid, problem, rest)"
        f" VALUES ('delete', old.{key}, old.problem, old.rest);"
    )
    for when, work in (("INSERT", new), ("DELETE", old), ("UPDATE", old + new)):
        name = f"{terms}_{when.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {when} ON {terms} BEGIN {work} END")
