"""Every JSON route with made-up input: an answer in the shape of the door, never a 500."""

from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings

from app.simulator import Instance
from tests.conftest import script
from tests.desk import Desk

pytestmark = pytest.mark.fuzz
EXAMPLES = 100
# Tried side by side.
PARTS = 2
# A pull waits for the worker, which does not run here.
LEFT_OUT = {"/api/sn/sync/pull"}


@pytest.mark.parametrize("part", range(PARTS))
def test_made_up_input_never_breaks_a_route(
    app: FastAPI, desk: Desk, instance: Instance, part: int
) -> None:
    import schemathesis  # not among what plain pytest needs

    desk.ticket()
    headers = dict(script(app).headers)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found: list[Any] = list(schema.get_all_operations())
    operations = [one.ok() for one in found]
    assert len(operations) >= 12
    for operation in operations[part::PARTS]:
        if operation.path in LEFT_OUT:
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            response = case.call(headers={"Authorization": headers["authorization"]})
            told = f"{case.method} {case.path} {case.body!r:.300} {response.text[:300]}"
            assert response.status_code < 500, told
            kind = response.headers["content-type"][0]
            problem = response.status_code >= 400
            assert kind == ("application/problem+json" if problem else "application/json"), told

        ask()
