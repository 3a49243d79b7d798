"""A real browser, a real server with its worker, a real instance."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from app.simulator import Instance
from tests.conftest import PASSWORD, Live
from tests.desk import Desk

REQUIRED = bool(os.environ.get("REQUIRE_BROWSER"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; without one the test is skipped, but never where it is required."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        if REQUIRED:
            pytest.fail("Chromium and tests/requirements.txt are required here")
        pytest.skip("needs Chromium and tests/requirements.txt")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def live_desk(live: Live) -> Desk:
    return Desk(live.app)


class Visitor:
    """One browser window that remembers what went wrong in it."""

    def __init__(self, context: Any, url: str) -> None:
        self.page = context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        # The browser's own line for an intended 4xx or 5xx is none of ours.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def sign_in(self, role: str) -> None:
        self.go("/login")
        self.page.get_by_label("E-mail").fill(f"{role}@example.com")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Log in")
        self.page.wait_for_url(f"{self.url}/")


@pytest.fixture(params=["scripts on", "scripts off"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "scripts on")


@pytest.fixture
def visitor(chromium: Any, live: Live, instance: Instance) -> Iterator[Visitor]:
    """A window with scripts on; nothing may be complained of in it."""
    with chromium.new_context() as context:
        context.set_default_timeout(10_000)
        made = Visitor(context, live.url)
        yield made
        assert made.complaints == []


@pytest.fixture
def either(chromium: Any, live: Live, instance: Instance, scripts: bool) -> Iterator[Visitor]:
    """A window with scripts on, then one with scripts off."""
    with chromium.new_context(java_script_enabled=scripts) as context:
        context.set_default_timeout(10_000)
        made = Visitor(context, live.url)
        yield made
        assert made.complaints == []
