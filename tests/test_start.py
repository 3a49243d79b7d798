"""The first start: any number of processes at once, and what is said when it cannot be."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import text

from app.db import migrate
from app.db.engine import make_engine, reading, writing
from app.errors import SettingsError
from app.main import kept_secret
from tests.postgresql import Cluster, cluster
from tests.test_killed_process import free_port

__all__ = ["cluster"]
ROOT = Path(__file__).resolve().parent.parent


def prepare(url: str, closing: ExitStack) -> None:
    engine = make_engine(url)
    closing.callback(engine.dispose)
    migrate.prepare(engine)


def trouble(url: str) -> str:
    """What is said of a database that cannot be used."""
    with ExitStack() as closing, pytest.raises(SettingsError) as found:
        prepare(url, closing)
    assert "secret-password" not in found.value.message
    return found.value.message


# -- what is wrong with it ------------------------------------------------------------------


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database at all " * 100)
    said = trouble(f"sqlite:///{tmp_path / 'notes.db'}")
    assert "notes.db is not an SQLite database" in said


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    assert "cannot be opened for writing" in trouble(f"sqlite:///{tmp_path / 'folder.db'}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened for writing" in trouble(f"sqlite:///{tmp_path / 'file' / 'desk.db'}")


@pytest.mark.parametrize("url", ["mysql://u:secret-password@h/d", "sqlite://", "no address"])
def test_another_kind_of_database_is_refused_with_the_kinds_that_work(url: str) -> None:
    assert trouble(url).startswith("DATABASE_URL must be sqlite:///FILE or postgresql://")


def test_a_database_of_a_newer_version_is_not_touched(database_url: str) -> None:
    engine = make_engine(database_url)
    with writing(engine) as conn:
        known = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        assert "newer version of the app" in trouble(database_url)
    finally:
        with writing(engine) as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": known})
        engine.dispose()


def test_a_server_that_is_too_old_is_named(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LEAST", {"sqlite": (99, 1), "postgresql": (99, 1)})
    assert "is too old. 99.1 or newer is needed." in trouble(database_url)


def test_a_server_that_is_not_there_is_named() -> None:
    said = trouble(f"postgresql://u:secret-password@127.0.0.1:{free_port()}/desk")
    assert "refused the connection" in said
    assert "not found (DNS)" in trouble("postgresql://u:secret-password@nowhere.invalid/desk")


@pytest.mark.slow
def test_a_server_that_says_nothing_is_waited_for_briefly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = trouble(f"postgresql://u:secret-password@127.0.0.1:{port}/desk?connect_timeout=2")
    assert "did not respond in time" in said


@pytest.mark.slow
def test_a_server_that_refuses_says_why(cluster: Cluster) -> None:
    cluster.execute(
        "CREATE ROLE ann LOGIN PASSWORD 'right'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    )
    assert "the database nosuch does not exist" in trouble(cluster.url("nosuch"))
    assert "does not know the user nobody" in trouble(cluster.url(user="nobody"))
    assert "may not create or change tables" in trouble(cluster.url(user="ann"))
    cluster.want_passwords()
    assert "refused the password" in trouble(cluster.url(user="ann:secret-password"))


# -- several at once ------------------------------------------------------------------------


def test_processes_that_start_at_once_sign_with_one_secret(tmp_path: Path) -> None:
    for round_ in range(20):
        path, together = tmp_path / f"secret_key_{round_}", Barrier(4)

        def start(path: Path = path, together: Barrier = together) -> str:
            together.wait(10)
            return kept_secret(path)

        with ThreadPoolExecutor(4) as pool:
            secrets = {future.result() for future in [pool.submit(start) for _ in range(4)]}
        assert len(secrets) == 1
        assert len(secrets.pop()) >= 32


# What `python -m app` does before it listens.
FIRST_START = """
import os
from app.main import create_app
from app.settings import Settings
app = create_app(Settings.from_env(os.environ))
print("admin" if app.state.services.accounts.ensure_admin() else "no admin")
"""


@pytest.mark.slow
@pytest.mark.parametrize("database", ["first", "second"])
def test_three_processes_start_at_once_on_an_empty_server(cluster: Cluster, database: str) -> None:
    url = cluster.new_database(database)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    env["SECRET_KEY"] = "a secret key for tests only"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_START], env=env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = sorted(child.communicate(timeout=120)[0].strip() for child in children)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert said == ["admin", "no admin", "no admin"]
    engine = make_engine(url)
    with reading(engine) as conn:
        admins = conn.execute(text("SELECT count(*) FROM users")).scalar_one()
        slugs = conn.execute(text("SELECT slug FROM articles")).scalars().all()
    engine.dispose()
    assert admins == 1
    assert len(slugs) == len(set(slugs)) > 0


@pytest.mark.slow
def test_a_database_without_a_locale_holds_every_alphabet(cluster: Cluster) -> None:
    """As a server makes it on a machine without `LANG`."""
    cluster.execute(
        "CREATE DATABASE bare TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with ExitStack() as closing:
        prepare(cluster.url("bare"), closing)
        engine = make_engine(cluster.url("bare"))
        closing.callback(engine.dispose)
        with writing(engine) as conn:
            conn.execute(text("UPDATE installation SET id = 'Zürich 東京'"))
        with reading(engine) as conn:
            assert conn.execute(text("SELECT id FROM installation")).scalar_one() == "Zürich 東京"


@pytest.mark.slow
def test_the_command_line_says_it_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database at all " * 100)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    env["DATABASE_URL"] = f"sqlite:///{tmp_path / 'notes.db'}"
    command = [sys.executable, "-m", "app", "create-token", "ann@example.com", "--name", "x"]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not an SQLite database" in done.stderr
