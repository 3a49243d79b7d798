"""Bring a database to the newest form, and say whether it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.db.database_errors import cause_of
from app.errors import SettingsError

# What the statements of the app and its migrations need.
LEAST = {"postgresql": (13,), "sqlite": (3, 35)}
HERE = Path(__file__).resolve().parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    return config


def prepare(engine: Engine) -> None:
    """Bring the database to the newest form. Raises SettingsError naming why that cannot be."""
    try:
        _check_version(engine)
        upgrade(engine)
    except SQLAlchemyError as exc:
        raise SettingsError(cause_of(exc, engine.url)) from exc


def _check_version(engine: Engine) -> None:
    with engine.connect() as conn:
        name, found = conn.dialect.name, conn.dialect.server_version_info or ()
        current = MigrationContext.configure(conn).get_current_revision()
    if found < LEAST[name]:
        least, has = (".".join(map(str, version)) for version in (LEAST[name], found))
        title = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[name]
        raise SettingsError(f"DATABASE_URL: {title} {has} is too old. {least} or newer is needed.")
    try:
        _scripts().get_revision(current or "base")
    except CommandError:
        raise SettingsError(
            "DATABASE_URL: this database was last used by a newer version of the app. "
            "Start that version, or restore a backup."
        ) from None


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations that are missing, each in a transaction. Safe to call at every start."""
    if revision == "head" and at_head(engine):
        return
    config = _config()
    with engine.connect().execution_options(write=True) as conn, _tables_free(conn), conn.begin():
        one_at_a_time(conn)
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


@contextmanager
def _tables_free(conn: Connection) -> Iterator[None]:
    """Migrations may build a table of SQLite anew without losing the rows that point to it.

    With foreign keys on, SQLite would delete or refuse them when the old table goes.
    """
    if conn.dialect.name != "sqlite":
        yield
        return
    cursor = conn.connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def one_at_a_time(conn: Connection) -> None:
    """Until the transaction ends, no other process is in a step of its first start.

    A writer of SQLite is alone anyway. Several processes may start at once on PostgreSQL, and
    the first may migrate for longer than others usually wait for a lock.
    """
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL lock_timeout = 0")
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(7206001)")


def at_head(engine: Engine) -> bool:
    """True when no migration is missing."""
    with engine.connect() as conn:
        current = MigrationContext.configure(conn).get_current_revision()
    return current == _scripts().get_current_head()


@cache
def _scripts() -> ScriptDirectory:
    """The migrations there are, read once."""
    return ScriptDirectory.from_config(_config())
