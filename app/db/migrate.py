"""Bring a database to the newest form, and say whether it is."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

HERE = Path(__file__).resolve().parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations that are missing, each in a transaction. Safe to call at every start."""
    if revision == "head" and at_head(engine):
        return
    config = _config()
    with engine.connect().execution_options(write=True) as conn, conn.begin():
        if conn.dialect.name == "postgresql":
            # Several processes may start at once; the lock goes with the transaction.
            conn.exec_driver_sql("SELECT pg_advisory_xact_lock(7206001)")
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


def at_head(engine: Engine) -> bool:
    """True when no migration is missing."""
    with engine.connect() as conn:
        current = MigrationContext.configure(conn).get_current_revision()
    return current == _head()


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()
