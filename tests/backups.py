"""Backups of either side, to be put back while the other has gone on."""

import copy
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, make_url, select, text

from app.db.engine import make_engine, reading, writing
from app.db.tables import metadata
from app.simulator import Instance

Rows = Sequence[Mapping[str, Any]]


class DatabaseBackup:
    """A copy of the app's database, beside it. No process of the app may run meanwhile."""

    def __init__(self, url: str, name: str) -> None:
        self._url = make_url(url)
        self._name = name

    def take(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            with sqlite3.connect(self._file) as source, sqlite3.connect(self._copy) as target:
                source.backup(target)
            source.close()
            target.close()
        else:
            self._copy_postgresql(str(self._url.database), self._spare)

    def put_back(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            for file in self._file.parent.glob(f"{self._file.name}-*"):
                file.unlink()
            shutil.copyfile(self._copy, self._file)
        else:
            self._copy_postgresql(self._spare, str(self._url.database))

    @property
    def _file(self) -> Path:
        return Path(str(self._url.database))

    @property
    def _copy(self) -> Path:
        return self._file.with_name(f"{self._name}-{self._file.name}")

    @property
    def _spare(self) -> str:
        return f"{self._url.database}_{self._name}"

    def _copy_postgresql(self, source: str, target: str) -> None:
        server = make_engine(
            self._url.set(database="postgres").render_as_string(hide_password=False)
        ).execution_options(isolation_level="AUTOCOMMIT")
        with server.connect() as conn:
            _end_sessions(conn, source, target)
            conn.execute(text(f'DROP DATABASE IF EXISTS "{target}"'))
            conn.execute(text(f'CREATE DATABASE "{target}" TEMPLATE "{source}"'))
        server.dispose()


def _end_sessions(conn: Connection, *databases: str) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(:names)"
    conn.execute(text(query), {"names": list(databases)})


class InstanceBackup:
    """What an instance held at one moment."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._held: dict[str, Any] = {}

    def take(self) -> None:
        self._held = copy.deepcopy(self._instance.saved())

    def put_back(self) -> None:
        self._instance.restore(copy.deepcopy(self._held))


def rows_of(engine: Engine) -> dict[str, Rows]:
    """Every row of every table."""
    with reading(engine) as conn:
        return {
            table.name: [dict(row) for row in conn.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def put_rows_back(engine: Engine, backup: Mapping[str, Rows]) -> None:
    """Under a running app the rows are as they were; ids that were given since come again."""
    with writing(engine) as conn:
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())
        for table in metadata.sorted_tables:
            if rows := backup[table.name]:
                conn.execute(table.insert(), rows)
        for name in ("tickets", "ticket_events", "outbox"):
            last = f"(SELECT coalesce(max(id), 0) FROM {name})"
            next_one = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last} + 1, false)"
            if engine.dialect.name == "sqlite":
                next_one = f"UPDATE sqlite_sequence SET seq = {last} WHERE name = '{name}'"
            conn.execute(text(next_one))
