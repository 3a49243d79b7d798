"""What an error of the database means: trouble that passes, or a setting to correct."""

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLite: another process writes, the disk is full or failed for a moment.
SQLITE_PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR")
# PostgreSQL says why it refuses a connection in words alone, without a SQLSTATE.
REFUSALS = (
    (("password authentication failed", "no password supplied"), "refused the password."),
    (("no pg_hba.conf entry",), "does not accept this user from this machine (pg_hba.conf)."),
    (("failed to resolve", "could not translate"), "was not found (DNS). Check the host name."),
    (("connection refused",), "refused the connection. Check host and port, and that it runs."),
    (("timeout expired", "timed out"), "did not respond in time. Check host, port and firewall."),
    (("too many clients", "remaining connection slots"), "has no free connection left."),
    (("starting up", "shutting down", "recovery mode"), "is starting or stopping. Try again soon."),
    (("ssl", "certificate"), "could not be reached over TLS. Check sslmode and certificates."),
)
NO_RIGHT = "DATABASE_URL: this user may not create or change tables in the database."


def passes(exc: BaseException) -> bool:
    """True when the same work may succeed soon: the server is away, restarts, or is busy."""
    if isinstance(exc, PoolTimeout):
        return True
    if not isinstance(exc, DBAPIError):
        return False
    if name := getattr(exc.orig, "sqlite_errorname", ""):
        return bool(name.startswith(SQLITE_PASSING))
    lost = exc.connection_invalidated or isinstance(exc, OperationalError | InterfaceError)
    return lost and type(exc.orig).__module__.startswith("psycopg")


def cause_of(exc: SQLAlchemyError, url: URL) -> str:
    """Why the database at `url` cannot be used, as a sentence without its password."""
    orig = getattr(exc, "orig", None)
    if url.get_backend_name() == "sqlite":
        return _sqlite_cause(getattr(orig, "sqlite_errorname", ""), url)
    said = str(orig).casefold()
    server = f"DATABASE_URL: the PostgreSQL server at {url.host or 'localhost'}:{url.port or 5432}"
    if getattr(orig, "sqlstate", None) == "42501" or "permission denied for" in said:
        return NO_RIGHT
    if 'database "' in said and "does not exist" in said:
        return f"DATABASE_URL: the database {url.database} does not exist. Create it first."
    if 'role "' in said and "does not exist" in said:
        return f"{server} does not know the user {url.username}."
    for words, sentence in REFUSALS:
        if any(word in said for word in words):
            return f"{server} {sentence}"
    if isinstance(exc, OperationalError | InterfaceError):
        return f"{server} cannot be reached."
    return "DATABASE_URL: this database holds something that the app cannot use."


def not_writable(url: URL) -> str:
    """What is said of a file of SQLite's that this account may not write."""
    return (
        f"DATABASE_URL: the file {url.database} cannot be opened for writing. "
        "Check the rights on it and its folder."
    )


def _sqlite_cause(name: str, url: URL) -> str:
    file = f"DATABASE_URL: the file {url.database}"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return not_writable(url)
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"{file} is not an SQLite database, or it is damaged."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{file} is in use by another process. Stop it, or try again soon."
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return f"{file} cannot be written. The disk may be full."
    return f"{file} holds something that the app cannot use."
