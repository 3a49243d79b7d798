"""Hidden secrets and drafts in a real browser."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.settings import LanguageModelSettings, Settings
from tests.desk import Desk
from tests.e2e.conftest import Visitor
from tests.language_model import LanguageModel


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    made = LanguageModel()
    yield made
    made.close()


@pytest.fixture
def settings(settings: Settings, model: LanguageModel) -> Settings:
    return replace(settings, llm=LanguageModelSettings(base_url=model.url, model="small-model"))


def test_secrets_are_shown_in_place_and_hidden_again(visitor: Visitor, live_desk: Desk) -> None:
    ticket = live_desk.ticket(description="pw: hunter2")
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    assert visitor.page.get_by_text("hunter2").count() == 0
    visitor.page.get_by_role("button", name="Show secrets").click()
    visitor.page.get_by_text("pw: hunter2").first.wait_for()
    assert visitor.page.url.endswith(f"/tickets/{ticket.id}")
    visitor.page.reload()
    assert visitor.page.get_by_text("hunter2").count() == 0
    assert visitor.page.locator(".entry-revealed").count() == 1


def test_a_draft_is_previewed_requested_edited_and_added(
    visitor: Visitor, live_desk: Desk, model: LanguageModel
) -> None:
    model.says("Have you restarted the client?")
    ticket = live_desk.ticket(subject="VPN will not connect")
    visitor.sign_in("agent")
    visitor.go(f"/tickets/{ticket.id}")
    visitor.follow("Draft a reply")
    visitor.page.get_by_text("Subject: VPN will not connect").wait_for()
    assert model.requests == []
    visitor.page.get_by_role("button", name="Send and create draft").click()
    box = visitor.page.locator("#draft-text")
    box.wait_for()
    box.fill(f"Hello! {box.input_value()}")
    visitor.page.get_by_role("button", name="Send reply").click()
    visitor.page.locator(".entry-comment").wait_for()
    assert [n.body for n in live_desk.notes(ticket.id)] == ["Hello! Have you restarted the client?"]
