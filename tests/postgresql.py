"""A PostgreSQL of a test's own, which it may stop, start and break."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import make_engine
from tests.test_killed_process import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
REQUIRED = bool(os.environ.get("REQUIRE_POSTGRESQL"))


class Cluster:
    """One server on a port and in a folder of its own; durable only as long as it runs."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="desk-postgresql-"))
        self._folder.chmod(0o755)
        self._data = self._folder / "data"
        self._data.mkdir()
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres")
            shutil.chown(self._data, "postgres")
        self._run(
            "initdb", "-E", "UTF8", "--locale", "C", "-A", "trust", "-U", "postgres", "--no-sync"
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once: sessions are cut off in the middle of what they do."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def restart(self) -> None:
        self.stop()
        self.start()

    def url(self, database: str = "postgres", *, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def execute(self, *statements: str) -> None:
        server = make_engine(self.url()).execution_options(isolation_level="AUTOCOMMIT")
        try:
            with server.connect() as conn:
                for statement in statements:
                    conn.exec_driver_sql(statement)
        finally:
            server.dispose()

    def want_passwords(self) -> None:
        """From now on every connection has to prove who it is."""
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules)
        self.execute("SELECT pg_reload_conf()")

    def remove(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, binary: str, *arguments: str, check: bool = True) -> None:
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*as_postgres, str(BINARIES[-1] / binary), "-D", str(self._data), *arguments]
        with (self._folder / "commands").open("ab") as said:
            subprocess.run(command, cwd="/", stdout=said, stderr=said, check=check, timeout=60)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that runs. Where none is installed the test is skipped, in `.ci/run` it fails."""
    if not BINARIES and not REQUIRED:
        pytest.skip("no PostgreSQL is installed here")
    made = Cluster()
    made.start()
    yield made
    made.remove()
