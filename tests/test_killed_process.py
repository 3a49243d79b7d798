"""A real process, killed with SIGKILL in the middle of a push, and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.main import offline_services
from app.models.accounts import Role
from app.settings import Settings
from app.simulator import Instance, RunningSimulator

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0


class Process:
    """`python -m app` on a port of its own, talking to the simulator."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self._env = env
        self._folder = folder
        self.url = f"http://127.0.0.1:{env['PORT']}"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self._folder / "log").open("ab")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=self._folder,
            env=self._env,
            stdout=log,
            stderr=log,
        )
        log.close()
        eventually(lambda: httpx.get(f"{self.url}/healthz").status_code == 200)

    def kill(self) -> None:
        assert self._child is not None
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)

    def stop(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._child.wait(15)


def eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if check():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
def env(database_url: str, running_simulator: RunningSimulator) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a secret key for tests only",
        "SN_INSTANCE_URL": running_simulator.url,
        "SN_AUTH_TYPE": "basic",
        "SN_USERNAME": "copilot",
        "SN_PASSWORD": "copilot-secret",
        "SN_TIMEOUT_SECONDS": "3",
        "SN_RETRY_SECONDS": "0.2",
        "SN_SETTLE_SECONDS": "0.7",
        "WORKER_SECONDS": "0.1",
    }


@pytest.fixture
def token(env: dict[str, str]) -> str:
    with offline_services(Settings.from_env(env)) as services:
        user, _ = services.accounts.create_user("script@example.com", Role.ADMIN)
        _, secret = services.accounts.create_token(user, "script")
    return secret


@pytest.fixture
def process(env: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    made = Process(env, tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("when", ["before it was applied", "after it was applied"])
def test_a_killed_process_ends_with_exactly_one_incident(
    process: Process, token: str, instance: Instance, when: str
) -> None:
    process.start()
    api = httpx.Client(
        base_url=process.url, headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    ticket = api.post("/api/tickets", json={"subject": "Mail is down"}).json()
    kind = "hang" if when.startswith("before") else "slow_answer"
    instance.faults.add(kind, method="POST", path="/incident", seconds=0.6)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(api.post, f"/api/sn/incidents/create-from-ticket/{ticket['id']}")
        eventually(lambda: instance.faults.met(kind))
        time.sleep(0.2)
        process.kill()
        assert isinstance(asked.exception(), httpx.TransportError)

    process.start()

    def linked() -> bool:
        return bool(api.get(f"/api/tickets/{ticket['id']}").json()["sn_sys_id"])

    eventually(linked)
    api.close()
    assert len(instance.incidents) == 1
