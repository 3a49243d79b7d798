"""Engines and transactions for SQLite and PostgreSQL."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, DateTime, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from app.db.database_errors import not_writable, passes
from app.db.files import private_database
from app.errors import DatabaseAway, SettingsError

# Up to the microseconds, the zone left out: it is always UTC.
STAMP_LENGTH = 26
# How long a writer waits for its turn in this process, then for one of another process. Together
# this is less than a page waits for an answer (`PAGE_SECONDS` in app.web).
BUSY_SECONDS = 5
# A server that does not answer is away: pages must not wait for the network to give up.
CONNECT_SECONDS = 5
SAMPLED_ROWS = 1_000
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    f"busy_timeout={1000 * BUSY_SECONDS}",
    # What a statement of many rows would need to take back, too.
    "temp_store=MEMORY",
    # In KiB and in pages of 4 KiB. More of the first is no quicker, and each connection may take
    # it; into the second a page of an import fits several times.
    "cache_size=-4000",
    "wal_autocheckpoint=8000",
)


AWAY = "The database cannot be used at the moment. Try again soon."
WANTED = "DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
# Which engines the current thread is writing to.
_writing = threading.local()


class Turns:
    """First come, first served, among the writers of one process.

    SQLite lets in whoever asks at the right moment: beside a long import a click waited for
    several of its pages, and may now wait for one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn. Raises DatabaseAway when it does not come in time."""
        mine = threading.Event()
        with self._guard:
            self._waiting.append(mine)
            self._waiting[0].set()
        try:
            if not mine.wait(BUSY_SECONDS):
                raise DatabaseAway(AWAY)
            yield
        finally:
            with self._guard:
                self._waiting.remove(mine)
                if self._waiting:
                    self._waiting[0].set()


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, on both databases; a naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """For SQLite the text that SQLAlchemy keeps for a moment, made several times as quickly."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)

        def as_text(value: datetime | None) -> str | None:
            if value is not None and value.tzinfo is not UTC:
                value = self.process_bind_param(value, dialect)
            return None if value is None else value.isoformat(" ", "microseconds")[:STAMP_LENGTH]

        return as_text

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is UTC:
            return value
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def database_url(text: str) -> URL:
    """`text` as SQLAlchemy wants it; hosting services still hand out postgres://.

    Raises SettingsError for any database but PostgreSQL and SQLite with a file.
    """
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise SettingsError(WANTED) from None
    kept = url.database and url.database != ":memory:"
    if url.get_backend_name() != "postgresql" and not (url.get_backend_name() == "sqlite" and kept):
        raise SettingsError(WANTED)
    return url


def make_engine(url: str) -> Engine:
    """An engine whose writers take SQLite's lock at the start of the transaction.

    Its errors name no values: what people write must not get into the log with them.
    """
    target = database_url(url)
    if target.get_backend_name() != "sqlite":
        return _make_postgresql(target)
    try:
        private_database(Path(str(target.database)))
    except OSError:
        raise SettingsError(not_writable(target)) from None
    engine = create_engine(
        target,
        pool_size=20,
        max_overflow=30,
        hide_parameters=True,
        execution_options={"turns": Turns()},
    )

    @event.listens_for(engine, "connect")
    def _prepare(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        write = conn.get_execution_options().get("write")
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _make_postgresql(target: URL) -> Engine:
    """Waits for the server, a connection or a lock end before a page gives up.

    The client encoding is set, because a database that was created without a locale has none and
    would answer in bytes.
    """
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "utf8"}
    arguments["options"] = f"-c lock_timeout={1000 * BUSY_SECONDS}"
    return create_engine(
        target,
        pool_size=10,
        max_overflow=20,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        # What the address says itself goes first.
        connect_args={name: value for name, value in arguments.items() if name not in target.query},
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One short write transaction. Never call out over the network inside it.

    Raises DatabaseAway for trouble that passes, and RuntimeError inside another one of this
    thread: on SQLite it would wait for itself.
    """
    turns: Turns | None = engine.get_execution_options().get("turns")
    with (
        _alone(engine),
        turns.one() if turns else nullcontext(),
        _in_reach(),
        engine.connect().execution_options(write=True) as conn,
        conn.begin(),
    ):
        yield conn


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    busy: set[int] = _writing.__dict__.setdefault("engines", set())
    if id(engine) in busy:
        raise RuntimeError("writing() inside writing()")
    busy.add(id(engine))
    try:
        yield
    finally:
        busy.discard(id(engine))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read-only look at a consistent state. Raises DatabaseAway for trouble that passes."""
    with _in_reach(), engine.connect() as conn:
        yield conn


@contextmanager
def _in_reach() -> Iterator[None]:
    """The one place where a lost connection gets its name."""
    try:
        yield
    except SQLAlchemyError as exc:
        if passes(exc):
            raise DatabaseAway(AWAY) from exc
        raise


def refresh_statistics(engine: Engine) -> None:
    """Tell the planner how the tables are filled, from a sample. No plan of ours must need it."""
    with writing(engine) as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql(f"PRAGMA analysis_limit={SAMPLED_ROWS}")
            conn.exec_driver_sql("PRAGMA optimize")
        else:
            conn.exec_driver_sql("ANALYZE tickets, ticket_events, ticket_terms, incidents")


def utc_now() -> datetime:
    """The only clock of the app."""
    return datetime.now(UTC)
