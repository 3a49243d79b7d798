"""Text of people may run from right to left: shown or typed, it sets its own direction."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString
from fastapi.testclient import TestClient

from app.simulator import Instance
from app.web import ROOT
from tests.conftest import HTMX
from tests.desk import Desk

FILES = sorted([*ROOT.glob("templates/**/*.html"), *ROOT.glob("partials/**/*.html")])
TYPED_TEXT = (None, "text", "search")
ARABIC = "الشبكة لا تعمل"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_field_for_text_takes_the_direction_of_what_is_typed(path: Path) -> None:
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    fields = [field for field in page.select("input") if field.get("type") in TYPED_TEXT]
    for field in (*fields, *page.select("textarea")):
        assert field.get("dir") == "auto", str(field)[:120]


def _people_wrote(html: str) -> list[NavigableString]:
    page = BeautifulSoup(html, "html.parser")
    texts = (one for one in page.descendants if isinstance(one, NavigableString))
    return [text for text in texts if ARABIC in text]


def _sets_its_own_direction(found: NavigableString) -> bool:
    parents = [one for one in found.parents if isinstance(one, Tag)]
    return any(
        one.name in ("bdi", "title", "option") or one.get("dir") == "auto" for one in parents
    )


def test_what_people_wrote_sets_its_own_direction_on_every_page(
    agent: TestClient, desk: Desk, instance: Instance
) -> None:
    ticket = desk.ticket(subject=f"{ARABIC} VPN", description=f"{ARABIC} description")
    desk.note(ticket.id, f"{ARABIC} note", internal=True)
    desk.services.servicenow.push.create_from_ticket(ticket.id, by=desk.user.email)
    other = desk.ticket(subject=f"{ARABIC} VPN", status="resolved")
    sys_id = next(iter(instance.incidents))
    agent.post("/servicenow/fetch")
    pages = (
        "/",
        "/tickets",
        f"/tickets/{ticket.id}",
        f"/tickets/{other.id}/similar",
        f"/servicenow/tickets/{other.id}/incident",
        f"/servicenow/tickets/{ticket.id}/work-note",
        "/servicenow",
        f"/servicenow/incidents/{sys_id}",
        "/servicenow/outbox",
        "/servicenow/history",
    )
    shown = 0
    for path in pages:
        answer = agent.get(path, headers=HTMX if path.endswith("/similar") else {})
        assert answer.status_code == 200, path
        for found in _people_wrote(answer.text):
            shown += 1
            assert _sets_its_own_direction(found), (path, str(found.parent)[:200])
    assert shown >= 12
