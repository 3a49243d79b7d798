"""A real process, killed with SIGKILL in the middle of an import, again and again."""

import random
import time
from functools import partial

import httpx
import pytest

from app.simulator import Instance
from tests.test_killed_process import Process, env, eventually, process, token

__all__ = ["env", "process", "token"]

pytestmark = pytest.mark.slow
KILLS = 3
ROWS = 6_000


def test_a_killed_import_goes_on_and_ends_with_each_incident_once(
    process: Process, token: str, instance: Instance
) -> None:
    for number in range(ROWS):
        instance.add_incident(number=f"INC{number:07}", short_description=f"Trouble {number}")
    instance.latency_seconds = 0.3
    headers = {"Authorization": f"Bearer {token}"}
    api = httpx.Client(base_url=process.url, headers=headers, timeout=60)
    run = "/api/sn/sync/runs/1"

    def fetched() -> int:
        return int(api.get(run).json().get("fetched", 0))

    def fetched_more(before: int) -> bool:
        return fetched() > before

    process.start()
    wanted = {"limit": ROWS, "import": True}
    with pytest.raises(httpx.TransportError):
        # It would answer only when the pull has ended.
        api.post("/api/sn/sync/pull", json=wanted, timeout=1)
    dice = random.Random(11)
    for kill in range(KILLS):
        before = fetched()
        eventually(partial(fetched_more, before))
        time.sleep(dice.uniform(0, 0.3))
        process.kill()
        if kill == KILLS - 1:
            instance.latency_seconds = 0
        process.start()
    eventually(lambda: api.get(run).json()["state"] == "done")
    ended = api.get(run).json()
    report = api.get(f"{run}/report.csv").text.splitlines()[1:]
    api.close()
    assert (ended["created"], ended["fetched"], ended["hidden"]) == (ROWS, ROWS, 0)
    numbers = sorted(line.split(",")[0] for line in report)
    assert numbers == sorted(one["number"] for one in instance.incidents.values())
