"""Every page passes axe: light and dark, wide and on a phone, with everything on it opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.simulator import Instance
from tests.both_sides import BothSides, settled
from tests.conftest import Live
from tests.desk import Desk
from tests.e2e.conftest import Visitor
from tests.test_rights import routes_of_the_app

OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true })"
# Answers without a page of their own: redirects, files, and parts that only htmx asks for.
NO_PAGES = {
    "/admin",
    "/admin/copilot/model",
    "/healthz",
    "/readyz",
    "/servicenow/history.csv",
    "/servicenow/incoming",
    "/servicenow/pulls/{run_id}/report.csv",
    "/servicenow/test",
    "/servicenow/tickets/{ticket_id}/push",
    "/servicenow/unmapped",
    # Without a language model there is nothing to draft with.
    "/tickets/{ticket_id}/drafts/{kind}",
}


@dataclass(frozen=True)
class Filled:
    """An app in which every page has something to show; `values` fill the routes."""

    values: dict[str, str]

    def paths(self) -> list[str]:
        """Every page of the app."""
        gets = (route.split(" ") for route in routes_of_the_app())
        pages = {path for method, path in gets if method == "GET" and not path.startswith("/api/")}
        return sorted(self.path(page) for page in pages - NO_PAGES) + MORE_PAGES

    def path(self, route: str) -> str:
        for name, value in self.values.items():
            route = route.replace(name, value)
        assert "{" not in route, route
        return route


# The same page in another state: by ticket 1 in conflict, 2 with hidden text, 3 blocked.
MORE_PAGES = ["/nosuch", "/tickets/2", "/tickets/3", "/tickets?q=nothing", "/articles?q=nothing"]


@pytest.fixture
def filled(live: Live, live_desk: Desk, instance: Instance) -> Filled:
    """Tickets with a conflict, hidden text and a blocked push; a finished import."""
    services = live.app.state.services
    servicenow, by = services.servicenow, live_desk.user.email
    torn = BothSides(live_desk, instance)
    torn.there(short_description="Theirs")
    torn.here(subject="Ours", priority="urgent")
    settled(servicenow, torn.id)
    assert servicenow.conflicts.of(torn.id).conflicts
    live_desk.ticket(subject="VPN drops every hour", description="pw: hunter2")
    instance.rules.write_denied = True
    blocked = live_desk.ticket(subject="Printer offline", status="resolved")
    servicenow.push.create_from_ticket(blocked.id, by=by)
    settled(servicenow, blocked.id)
    instance.add_incident(short_description="Screen flickers")
    run = servicenow.imports.wait(
        servicenow.imports.start(by=by, import_tickets=True).id, seconds=20
    )
    servicenow.incidents.fetch_latest()
    servicenow.connection.test()
    admin = services.accounts.user_of_token(live.token())
    values = {
        "{ticket_id}": str(torn.id),
        "{slug}": "mailbox-full",
        "{sys_id}": torn.sys_id,
        "{item_id}": str(servicenow.push.status(blocked.id).items[0].id),
        "{token}": services.accounts.reset_token(admin.id),
        "{run_id}": str(run.id),
    }
    return Filled(values)


def complaints(page: Any, where: str) -> Iterator[str]:
    """What axe finds on the page as it is, in both colour schemes and widths."""
    page.evaluate(OPEN_ALL)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for found in page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]:
                places = [" ".join(map(str, node["target"])) for node in found["nodes"]]
                yield f"{where}, {scheme} {width}: {found['id']}, {found['help']}: {places}"


def test_axe_finds_nothing_on_any_page(visitor: Visitor, filled: Filled) -> None:
    from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]

    page = visitor.page
    visitor.go("/login")
    page.evaluate(AXE_SCRIPT)
    found = list(complaints(page, "/login"))
    visitor.sign_in("admin")
    for path in filled.paths():
        visitor.go(path)
        page.wait_for_load_state("networkidle")
        page.evaluate(AXE_SCRIPT)
        found += complaints(page, path)
    visitor.go("/tickets/2")
    page.evaluate(AXE_SCRIPT)
    visitor.follow("Create ServiceNow Incident")
    page.locator("#preview").wait_for()
    found += complaints(page, "the dialog")
    page.keyboard.press("Escape")
    page.locator("#note-form textarea").fill(" ")
    page.locator("#note-form button").click()
    page.locator("#form-errors").wait_for()
    found += complaints(page, "a form error")
    assert found == []
