"""An instance spoken to as any client would: plain HTTP on loopback."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.simulator import Instance, RunningSimulator

TABLE = "/api/now/table/incident"
Call = Callable[..., httpx.Response]


# Made once: reading the certificates takes longer than a test.
TLS = httpx.create_ssl_context()


@pytest.fixture
def http(running_simulator: RunningSimulator, instance: Instance) -> Iterator[httpx.Client]:
    """A signed-in client; `instance` is clean."""
    auth = (instance.accounts.user, instance.accounts.password)
    with httpx.Client(base_url=running_simulator.url, auth=auth, timeout=10, verify=TLS) as client:
        yield client


@pytest.fixture
def stranger(running_simulator: RunningSimulator, instance: Instance) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(base_url=running_simulator.url, timeout=10, verify=TLS) as client:
        yield client


def result(response: httpx.Response) -> Any:
    return response.json()["result"]


def created(http: httpx.Client, **fields: str) -> dict[str, Any]:
    response = http.post(TABLE, json={"short_description": "Test"} | fields)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = result(response)
    return made


def failure(response: httpx.Response) -> tuple[int, str, str]:
    """Status, message and detail of the error envelope; an empty text for none."""
    body = response.json()
    assert body["status"] == "failure"
    return response.status_code, body["error"]["message"], body["error"]["detail"] or ""
