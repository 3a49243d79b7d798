"""Folders and files that hold tickets are readable by the account of the app alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import files
from app.db.engine import make_engine
from app.db.files import private_folder

OPEN_TO_ALL = 0o022


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(OPEN_TO_ALL)
    yield
    os.umask(before)


def rights(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def rights_in_use(path: Path) -> dict[str, str]:
    """The files of a database while it is in use, and their rights."""
    engine = make_engine(f"sqlite:///{path}")
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS one (id INTEGER)")
        found = {file.suffix: rights(file) for file in path.parent.glob(f"{path.name}*")}
    engine.dispose()
    return found


def test_a_new_database_and_its_folder_are_private(tmp_path: Path) -> None:
    found = rights_in_use(tmp_path / "fresh" / "desk.db")
    assert found == dict.fromkeys((".db", ".db-wal", ".db-shm"), "0o600")
    assert rights(tmp_path / "fresh") == "0o700"


def test_an_existing_database_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    for file in (path, tmp_path / "desk.db-wal", tmp_path / "desk.db-shm"):
        file.touch(mode=0o644)
    assert set(rights_in_use(path).values()) == {"0o600"}


@pytest.mark.parametrize("name", files.OWN_FOLDERS)
def test_an_existing_folder_of_ours_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    folder = tmp_path / name
    folder.mkdir(mode=0o755)
    rights_in_use(folder / "desk.db")
    assert rights(folder) == "0o700"


def test_a_folder_that_others_may_share_keeps_its_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    private_folder(shared)
    rights_in_use(shared / "desk.db")
    assert rights(shared) == "0o755"
