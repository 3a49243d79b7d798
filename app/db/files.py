"""Rights of the files that hold data: tickets are stored unmasked, so nobody else may read them."""

import logging
import os
from pathlib import Path

log = logging.getLogger("app.db")
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
ROOT = Path(__file__).resolve().parents[2]
# The app's own folders. Another folder, such as /tmp, may be shared and keeps its rights.
OWN_FOLDERS = ("data", "demo-data")
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def private_folder(folder: Path) -> None:
    """Make the folder for this account alone; an existing one of ours is corrected."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    own = {(base / name).resolve() for base in (ROOT, Path.cwd()) for name in OWN_FOLDERS}
    if folder.resolve() in own:
        _restrict(folder, PRIVATE_FOLDER)


def private_database(path: Path) -> None:
    """Make the file of a SQLite database for this account alone.

    SQLite gives its -wal and -shm the rights of the database; existing ones are corrected.
    """
    private_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    for suffix in SQLITE_SUFFIXES:
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            _restrict(beside, PRIVATE_FILE)


def _restrict(path: Path, mode: int) -> None:
    if path.stat().st_mode & 0o777 == mode:
        return
    try:
        path.chmod(mode)
    except OSError:
        log.warning("rights not changed", extra={"fields": {"file": path.name}})
