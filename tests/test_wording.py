"""Messages are for people: whatever they say, every page offers and does the same."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.engine import writing
from app.db.tables import connections, outbox, ticket_events, tickets
from app.errors import STATUS_OF_KIND, Kind
from app.models.servicenow import OutboxItem, PushState
from app.models.tickets import NOTES, EventKind
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup
from tests.test_servicenow_unproven import blind, close_journal, create_and_wait, lose
from tests.ticking import tick

OTHER_WORDS = "Not a word as before."
MESSAGES = (
    outbox.c.error,
    tickets.c.sn_last_error,
    tickets.c.sn_notice,
    connections.c.last_error,
    connections.c.last_hint,
    connections.c.failing_reason,
    ticket_events.c.body,
)


def reword(app: FastAPI) -> None:
    """Every message that the app wrote says something else; what people wrote stays."""
    with writing(app.state.engine) as conn:
        for column in MESSAGES:
            statement = update(column.table).where(column.is_not(None))
            if column.table is ticket_events:
                statement = statement.where(ticket_events.c.kind.not_in(NOTES))
            conn.execute(statement.values({column.name: OTHER_WORDS}))


def differ(both: BothSides) -> None:
    both.there(short_description="Theirs")
    both.here(subject="Ours")


def resolve_with_a_code_of_ours(both: BothSides) -> None:
    both.here(status="resolved", resolution_code="Our own code", resolution_notes="Done")


def reopen_what_is_closed_there(both: BothSides) -> None:
    both.there(state="7", close_code="User error", close_notes="The cable")
    both.service.push.sync(both.id, by=both.desk.user.email)
    both.here(status="in_progress")


def meet_a_rule(both: BothSides) -> None:
    both.instance.rules.forced = {"state": "1"}
    both.here(status="in_progress")


def lack_the_right(both: BothSides) -> None:
    both.instance.rules.write_denied = True
    both.here(status="in_progress")


CAUSES: dict[Kind, Callable[[BothSides], None]] = {
    Kind.CONFLICT: differ,
    Kind.CLOSE_CODE: resolve_with_a_code_of_ours,
    Kind.CLOSED: reopen_what_is_closed_there,
    Kind.NOT_KEPT: meet_a_rule,
    Kind.PERMISSION: lack_the_right,
}


def blocked(both: BothSides, cause: Kind) -> OutboxItem:
    CAUSES[cause](both)
    tick(both.service)
    status = both.service.push.status(both.id)
    assert status.state is PushState.BLOCKED
    (item,) = status.items
    return item


def built(browser: TestClient, path: str) -> list[tuple[str, dict[str, str]]]:
    """The elements of a page with their attributes: what it offers, without its words."""
    page = soup(browser.get(path, headers=HTMX if path.endswith("/push") else {}).text)
    return [(part.name, dict(part.attrs)) for part in page.select("main *, [id^=push-card] *")]


@pytest.mark.parametrize("cause", CAUSES)
def test_other_words_leave_every_page_as_it_is(
    app: FastAPI, both: BothSides, agent: TestClient, cause: Kind
) -> None:
    assert blocked(both, cause).error_kind is cause
    ticket = f"/servicenow/tickets/{both.id}"
    paths = (f"/tickets/{both.id}", f"{ticket}/push", "/servicenow/outbox", "/servicenow")
    before = [built(agent, path) for path in paths]
    choices = agent.get(f"{ticket}/conflicts").text
    reword(app)
    assert OTHER_WORDS in agent.get(f"{ticket}/push", headers=HTMX).text
    assert [built(agent, path) for path in paths] == before
    assert agent.get(f"{ticket}/conflicts").text == choices


def test_a_resolution_code_is_chosen_for_the_update_that_lacks_one(
    app: FastAPI, both: BothSides, agent: TestClient
) -> None:
    item = blocked(both, Kind.CLOSE_CODE)
    reword(app)
    card = soup(agent.get(f"/servicenow/tickets/{both.id}/push", headers=HTMX).text)
    form = find(card, "select[name=close_code]").find_parent("form")
    assert form["action"] == f"/servicenow/outbox/{item.id}/retry"
    agent.post(form["action"], data={"close_code": "User error"}, headers=HTMX)
    assert both.incident["close_code"] == "User error"


def test_an_unproven_create_is_sent_again_whatever_its_message_says(
    app: FastAPI, agent: TestClient, desk: Desk, instance: Instance, clock: Clock
) -> None:
    blind(instance)
    close_journal(instance, "counted")
    lose(instance, "after")
    pushes, ticket_id = app.state.services.servicenow.push, desk.ticket().id
    (item,) = create_and_wait(app.state.services.servicenow, desk, clock, ticket_id).items
    assert item.error_kind is Kind.UNPROVEN
    instance.delete(*instance.incidents)
    reword(app)
    card = soup(agent.get(f"/servicenow/tickets/{ticket_id}/push", headers=HTMX).text)
    button = find(card, "button[name=none_found]")
    form = button.find_parent("form")
    agent.post(form["action"], data={"none_found": button["value"]}, headers=HTMX)
    assert pushes.status(ticket_id).state is PushState.LINKED


def test_an_update_whose_conflict_is_over_asks_for_no_choice(
    both: BothSides, agent: TestClient
) -> None:
    blocked(both, Kind.CONFLICT)
    choice = f'#outbox-table a[href="/servicenow/tickets/{both.id}/conflicts"]'
    assert soup(agent.get("/servicenow/outbox").text).select(choice)
    both.service.outbox.pause("Maintenance", by=both.desk.user.email)
    both.service.conflicts.resolve(both.id, {"subject": "ours"}, by=both.desk.user.email)
    (item,) = both.service.push.status(both.id).items
    assert (item.error, item.error_kind) == (None, None)
    assert not soup(agent.get("/servicenow/outbox").text).select(choice)


def test_showing_secrets_again_at_once_is_recorded_once(
    app: FastAPI, agent: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(description="my password is hunter2")
    for _ in range(2):
        agent.post(f"/tickets/{ticket.id}/reveal")
        reword(app)
    events = desk.services.tickets.detail(ticket.id, desk.user).events
    assert sum(event.kind is EventKind.REVEALED for event in events) == 1


def test_each_kind_of_failure_has_a_status() -> None:
    assert set(STATUS_OF_KIND) == set(Kind)
