"""A session of a script on `/api`: every answer stays as scripts know it, sentences aside.

The file was recorded before the names and sentences of the product were changed. New fields may
come; what was recorded stays.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.simulator import Instance
from tests.conftest import script
from tests.desk import Desk
from tests.ticking import tick

RECORDED = Path(__file__).parent / "data" / "api_session.jsonl"
# People read these; their words may change.
SENTENCES = {"detail", "hint", "title", "error", "last_error", "sn_last_error"}
SENTENCES |= {"errors", "summary", "message", "reason", "warning"}
DRAWN = {"request_id", "latency_ms"}
# Drawn by chance, or of this machine.
CHANCE = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|127\.0\.0\.1:\d+"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.Z+:]*"
)
TICKET = {"subject": "VPN drops", "description": "Every hour", "requester_email": "a@example.com"}
CREATE = "/api/sn/incidents/create-from-ticket"


def plain(value: object, name: str = "") -> object:
    """The value without sentences, times and what is drawn by chance."""
    if isinstance(value, dict) and name == "reasons":
        return sorted(value.values())
    if isinstance(value, dict):
        return {key: plain(one, name if name == "errors" else key) for key, one in value.items()}
    if isinstance(value, list):
        # Incidents that changed in the same second come in any order.
        value = sorted(value, key=lambda one: one["number"]) if name == "incidents" else value
        return [plain(one, name) for one in value]
    if value is None or name in DRAWN:
        return None if value is None else "…"
    if not isinstance(value, str):
        return value
    return "…" if name in SENTENCES else CHANCE.sub("…", value)


def held(recorded: object, now: object) -> bool:
    """Everything recorded is still there; fields may have come."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(key in now and held(value, now[key]) for key, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(held, recorded, now))
    return type(recorded) is type(now) and recorded == now


class Script:
    """Calls the API as an admin's script and keeps each answer."""

    def __init__(self, app: FastAPI, work: Callable[[], object]) -> None:
        self._client = script(app)
        self._stranger = TestClient(app)
        self._work = work
        self.answers: list[dict[str, Any]] = []

    def call(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        client = self._stranger if options.pop("stranger", False) else self._client
        answer = client.request(method, path, json=body, **options)
        form = answer.headers.get("content-type", "").split(";")[0]
        read = answer.json() if "json" in form else sorted(answer.text.splitlines()[:1])
        self.answers.append(
            {
                "call": f"{method} {CHANCE.sub('…', path)}",
                "status": answer.status_code,
                "type": form,
                "location": CHANCE.sub("…", answer.headers.get("location", "")),
                "body": plain(read),
            }
        )
        return read

    def work(self) -> None:
        """The worker looks at what is due."""
        for _ in range(2):
            self._work()


def tickets(on: Script) -> None:
    on.call("GET", "/api/tickets", stranger=True)
    on.call("GET", "/api/tickets")
    for key in ("one", "one", "two"):
        on.call("POST", "/api/tickets", TICKET, headers={"Idempotency-Key": key})
    other = TICKET | {"subject": "Another"}
    on.call("POST", "/api/tickets", other, headers={"Idempotency-Key": "one"})
    for body in ({}, {"subject": ""}, TICKET | {"priority": "soon"}, TICKET | {"color": "red"}):
        on.call("POST", "/api/tickets", body)
    for query in ("", "?status=open", "?q=vpn&limit=1", "?status=odd", "?limit=0", "?cursor=x"):
        on.call("GET", f"/api/tickets{query}")
    on.call("GET", "/api/tickets/1")
    on.call("GET", "/api/tickets/99")
    on.call("GET", "/api/tickets/none")
    for change in ({"priority": "high"}, {"status": "in_progress"}, {"status": "odd"}, {}):
        on.call("PATCH", "/api/tickets/1", change)
    on.call("PATCH", "/api/tickets/1", [])
    ended = {"status": "resolved"}
    on.call("PATCH", "/api/tickets/2", ended)
    ended |= {"resolution_code": "Solution provided", "resolution_notes": "Restarted it."}
    on.call("PATCH", "/api/tickets/2", ended)
    for note in ({"body": "Looked", "internal": True}, {"body": "Hello"}, {"body": " "}, {}):
        on.call("POST", "/api/tickets/1/notes", note)
    on.call("DELETE", "/api/tickets/1")
    on.call("GET", "/api/none")


def pushes(on: Script, instance: Instance) -> None:
    for call in (("GET", "/api/sn/health"), ("POST", "/api/sn/health")):
        on.call(*call)
    on.call("POST", f"{CREATE}/1", stranger=True)
    on.call("POST", f"{CREATE}/99")
    made = on.call("POST", f"{CREATE}/1")
    on.call("POST", f"{CREATE}/1")
    sys_id = made["sys_id"]
    sync = f"/api/sn/incidents/{sys_id}/sync-ticket/1"
    on.call("PATCH", sync)
    on.call("PATCH", sync, {"work_note": "Checked the gateway"})
    on.call("PATCH", sync, {"odd": True})
    on.call("PATCH", f"/api/sn/incidents/{'0' * 32}/sync-ticket/1")
    instance.faults.add("fail", times=None, method="POST", status=503)
    on.call("POST", f"{CREATE}/2")
    for query in ("", "?state=pending", "?kind=create&ticket=2", "?state=odd", "?page=0"):
        on.call("GET", f"/api/sn/outbox{query}")
    instance.faults.clear()
    instance.faults.add("fail", times=None, method="POST", status=403)
    on.call("POST", "/api/tickets", TICKET)
    blocked = on.call("POST", f"{CREATE}/3")
    instance.faults.clear()
    listed = on.call("GET", "/api/sn/outbox?state=blocked")
    assert listed["items"], blocked
    item = listed["items"][0]["id"]
    on.call("POST", f"/api/sn/outbox/{item}/retry")
    on.call("POST", f"/api/sn/outbox/{item}/discard", {"reason": "Not needed"})
    on.call("POST", f"/api/sn/outbox/{item}/discard", {})
    on.call("POST", "/api/sn/outbox/99/retry")
    on.call("POST", "/api/sn/creates/release")
    on.call("POST", f"/api/sn/tickets/1/duplicates/{'0' * 32}/cancel")


def conflicts(on: Script, instance: Instance) -> None:
    first = next(iter(instance.incidents.values()))
    on.call("PATCH", "/api/tickets/1", {"subject": "VPN drops at noon"})
    instance.edit(first["sys_id"], by="beth.anglin", short_description="VPN drops at night")
    on.call("POST", "/api/sn/incoming/pull")
    on.work()
    on.call("GET", "/api/sn/incoming")
    on.call("GET", "/api/sn/tickets/1/conflicts")
    on.call("GET", "/api/tickets?conflict=true")
    for choice in ({"subject": "nobody"}, {"priority": "ours"}, {"subject": "theirs"}):
        on.call("POST", "/api/sn/tickets/1/conflicts", {"choices": choice})
    on.call("GET", "/api/tickets/1")


def imports(on: Script, instance: Instance) -> None:
    for number in range(3):
        instance.add_incident(number=f"INC77{number}", short_description="Monitor flickers")
    for query in ("", "?limit=0", "?state=2", "?query=^^"):
        on.call("GET", f"/api/sn/incidents{query}")
    for query in ("?limit=1&query=number=INC771", "?query=numberSTARTSWITHINC77"):
        on.call("GET", f"/api/sn/incidents{query}")
    known = next(row for row in instance.incidents.values() if row["number"] == "INC770")
    on.call("GET", f"/api/sn/incidents/{known['sys_id']}")
    on.call("GET", f"/api/sn/incidents/{'0' * 32}")
    on.call("GET", "/api/sn/incidents/odd")
    for body in ({"limit": 0}, {"query": "javascript:x"}, {"state": "-77"}):
        on.call("POST", "/api/sn/sync/pull", body)
    for number, dry_run in enumerate((True, False), 1):
        wanted = {"import": True} | ({"dry_run": True} if dry_run else {})
        on.call("POST", "/api/sn/sync/pull", wanted)
        on.work()
        on.call("GET", f"/api/sn/sync/runs/{number}")
        on.call("GET", f"/api/sn/sync/runs/{number}/report.csv")
    on.call("POST", "/api/sn/sync/runs/2/cancel")
    on.call("POST", "/api/sn/sync/runs/2/undo")
    on.call("POST", "/api/sn/sync/runs/2/undo")
    on.call("GET", "/api/sn/sync/runs/99")
    on.call("GET", "/api/copilot/accuracy")
    on.call("GET", "/api/copilot/accuracy?days=0")


def test_scripts_get_the_answers_they_know(
    app: FastAPI, desk: Desk, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No worker runs beside this test: a pull is queued, then worked on.
    monkeypatch.setattr("app.routes.servicenow_pulls.PULL_WAIT_SECONDS", 0)
    on = Script(app, lambda: tick(desk.services.servicenow))
    tickets(on)
    pushes(on, instance)
    conflicts(on, instance)
    imports(on, instance)
    recorded = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    assert len(recorded) >= 60
    assert [one["call"] for one in on.answers] == [one["call"] for one in recorded]
    changed = [
        (before, now)
        for before, now in zip(recorded, on.answers, strict=True)
        if not held(before, now)
    ]
    assert not changed, "\n".join(json.dumps(one) for one in changed)
