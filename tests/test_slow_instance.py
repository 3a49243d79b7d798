"""While ServiceNow hangs on every call, everything of our own goes on."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.simulator import Instance
from tests.conftest import Live

PATHS = ("/api/sn/incidents", "/api/sn/incidents/" + "0" * 32)


@pytest.mark.slow
def test_forty_hanging_calls_do_not_hold_up_local_pages(live: Live, instance: Instance) -> None:
    instance.faults.hang(2.0)
    limits = httpx.Limits(max_connections=60)
    with (
        live.browser(timeout=60, limits=limits) as http,
        ThreadPoolExecutor(40) as pool,
    ):
        hanging = [pool.submit(http.get, path) for path in PATHS for _ in range(20)]
        made = http.post("/api/tickets", json={"subject": "Saved meanwhile"})
        pages = [
            http.get(url).status_code for url in ("/tickets", "/servicenow", "/", "/tickets/1")
        ]
        still_hanging = [one for one in hanging if not one.done()]
        assert (made.status_code, pages) == (201, [200] * 4)
        assert len(still_hanging) == 40
        instance.faults.clear()
