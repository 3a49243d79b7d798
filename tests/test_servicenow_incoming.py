"""Changes that come in by themselves: none lost, none twice, and what is not seen is said."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from app.db import predictions
from app.db.engine import reading, writing
from app.db.tables import ticket_events
from app.integrations.servicenow.mapping import FIELDS, parse_stamp
from app.integrations.servicenow_client import ServiceNowClient
from app.models.incoming_changes import IncomingState
from app.models.tickets import EventKind, TicketEvent
from app.models.triage import Field
from app.models.views import TicketFilter
from app.services.servicenow import ServiceNowService
from app.services.servicenow.pull.change_cursor import ChangeCursor, Followed
from app.services.servicenow.pull.change_poller import PAGE
from app.settings import Settings
from app.simulator import Instance
from app.wiring import make_client
from tests.both_sides import BETH, BothSides
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import soup
from tests.ticking import tick

LONG_AGO = "2026-01-01 00:00:00"


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def pull(service: ServiceNowService) -> IncomingState:
    """Ask for a pull and let it run."""
    service.incoming.ask()
    service.incoming.run_due()
    return service.incoming.view().state


def gets(instance: Instance, table: str) -> int:
    """How many lists were asked for since the last look."""
    found: int = sum(
        r["path"].endswith(f"/{table}") for r in instance.requests if r["method"] == "GET"
    )
    instance.requests.clear()
    return found


def entries(both: BothSides, kind: EventKind) -> list[TicketEvent]:
    detail = both.desk.services.tickets.detail(both.id, both.desk.user)
    return [one for one in detail.events if one.kind is kind]


# -- reading in the order of change ------------------------------------------------------------


@pytest.fixture
def client(settings: Settings, clock: Clock) -> Iterator[ServiceNowClient]:
    made = make_client(settings.servicenow, now=clock)
    assert made
    yield made
    made.close()


def pages_of(client: ServiceNowClient, *, page_size: int) -> Iterator[Followed]:
    read = partial(client.get_incidents, fields=FIELDS)
    return ChangeCursor(read, page_size=page_size).since(LONG_AGO)


def followed(client: ServiceNowClient, *, page_size: int) -> list[str]:
    pages = pages_of(client, page_size=page_size)
    return [row["sys_id"] for page in pages for row in page.records]


def test_a_second_with_more_rows_than_a_page_is_read_without_loss_or_repetition(
    both: BothSides, client: ServiceNowClient
) -> None:
    stamps = [f"2026-02-01 00:00:{second:02}" for second in (0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)]
    made = [both.instance.add_incident(sys_updated_on=stamp)["sys_id"] for stamp in stamps]
    found = followed(client, page_size=3)
    assert sorted(found) == sorted([*made, both.sys_id])


def test_pages_that_access_rules_thin_out_or_empty_are_not_the_end(
    both: BothSides, client: ServiceNowClient
) -> None:
    made = [
        both.instance.add_incident(sys_updated_on=f"2026-02-01 00:00:{second:02}")["sys_id"]
        for second in range(20)
    ]
    both.instance.hidden_rows = set(made[2:14])
    found = followed(client, page_size=4)
    assert sorted(found) == sorted([*made[:2], *made[14:], both.sys_id])


def test_rows_that_change_while_they_are_read_are_not_lost(
    both: BothSides, client: ServiceNowClient
) -> None:
    made = [
        both.instance.add_incident(sys_updated_on=f"2026-02-01 00:00:{second:02}")["sys_id"]
        for second in range(30)
    ]
    found = []
    pages = pages_of(client, page_size=5)
    for number, page in enumerate(pages):
        found += [row["sys_id"] for row in page.records]
        if number < 20:
            both.instance.edit(made[number], short_description=f"Changed {number}")
    assert set(made) <= set(found)


# -- pulling ------------------------------------------------------------------------------------


def test_a_change_there_arrives_by_itself_and_is_not_pushed_back(
    both: BothSides, clock: Clock
) -> None:
    pull(both.service)
    both.there(short_description="Theirs", impact="1", urgency="1", assigned_to=BETH)
    pull(both.service)
    ticket = both.ticket
    assert (ticket.subject, ticket.priority) == ("Theirs", "urgent")
    assert (ticket.impact, ticket.urgency) == (1, 1)
    assert ticket.assignee == "beth.anglin@example.com"
    assert both.service.waiting_count() == 0
    assert "Updated from" in both.told()
    clock.forward(hours=1)
    tick(both.service)
    assert both.patches() == 0


def test_our_own_update_coming_back_changes_nothing(both: BothSides) -> None:
    pull(both.service)
    both.here(subject="Ours", priority="low")
    tick(both.service)
    version = both.ticket.version
    pull(both.service)
    assert both.ticket.version == version
    assert "Updated from" not in both.told()


def test_what_both_sides_changed_is_overwritten_by_neither(both: BothSides) -> None:
    pull(both.service)
    both.here(subject="Ours")
    both.there(short_description="Theirs", category="hardware")
    pull(both.service)
    assert (both.ticket.subject, both.ticket.category) == ("Ours", "hardware")
    assert [one.name for one in both.service.conflicts.of(both.id).conflicts] == ["subject"]
    tick(both.service)
    assert both.incident["short_description"] == "Theirs"


def test_the_watermark_is_the_newest_stamp_seen_and_never_our_clock(
    both: BothSides, clock: Clock
) -> None:
    clock.forward(days=300)
    newest = both.instance.add_incident(sys_updated_on=both.instance.now())
    state = pull(both.service)
    assert state.watermark == parse_stamp(newest["sys_updated_on"])
    late = both.instance.add_incident(sys_updated_on="2031-05-05 05:03:05")
    pull(both.service)
    shown = both.service.incidents.list(search="").rows
    assert {newest["sys_id"], late["sys_id"]} <= {row.incident.sys_id for row in shown}


def test_a_pull_costs_a_request_a_page_and_one_for_the_notes_of_a_page(
    both: BothSides,
) -> None:
    pull(both.service)
    for number in range(PAGE + 20):
        both.instance.add_incident(number=f"INC{number:07}", caller_id=BETH, assigned_to=BETH)
    both.there(work_notes="Looking into it")
    gets(both.instance, "incident")
    pull(both.service)
    assert len([r for r in both.instance.requests if r["method"] == "GET"]) <= 2 * 3


def test_nothing_is_pulled_unless_it_is_scheduled_or_asked_for(
    both: BothSides, clock: Clock
) -> None:
    gets(both.instance, "incident")
    tick(both.service)
    assert gets(both.instance, "incident") == 0
    pull(both.service)
    assert gets(both.instance, "incident") > 0
    clock.forward(days=3)
    tick(both.service)
    assert gets(both.instance, "incident") == 0


def test_a_failed_pull_says_why_and_goes_on_later(both: BothSides, clock: Clock) -> None:
    pull(both.service)
    both.there(short_description="Theirs")
    both.instance.faults.add("fail", method="GET", path="/incident", times=9)
    assert pull(both.service).error
    assert both.service.incoming.view().state.claimed_at is None
    both.instance.faults.clear()
    clock.forward(minutes=2)
    tick(both.service)
    assert both.ticket.subject == "Theirs"
    assert both.service.incoming.view().state.error is None


def test_a_pull_whose_process_died_is_taken_up_after_its_lease(
    both: BothSides, clock: Clock
) -> None:
    pull(both.service)
    both.there(short_description="Theirs")
    both.service.incoming.ask()
    with pytest.raises(KeyboardInterrupt):
        both.service.incoming.run_due(stopping=_die)
    both.service.incoming.ask()
    assert not both.service.incoming.run_due()
    clock.forward(minutes=10)
    assert both.service.incoming.run_due()
    assert both.ticket.subject == "Theirs"


def test_a_pull_that_was_asked_for_goes_on_after_a_restart(both: BothSides) -> None:
    pull(both.service)
    for number in range(PAGE):
        both.instance.add_incident(number=f"INC{number:07}", caller_id=BETH)
    both.there(short_description="Theirs")
    both.service.incoming.ask()
    assert both.service.incoming.run_due(stopping=lambda: True)
    assert both.service.incoming.run_due()
    assert both.ticket.subject == "Theirs"
    assert not both.service.incoming.run_due()


def _die() -> bool:
    raise KeyboardInterrupt


def test_switched_off_their_changes_stay_there_and_are_still_not_overwritten(
    both: BothSides, clock: Clock
) -> None:
    pull(both.service)
    both.service.incoming.switch(on=False)
    both.there(short_description="Theirs", category="hardware", comments="Hello?")
    both.here(subject="Ours")
    pull(both.service)
    assert both.ticket.category == "network"
    assert entries(both, EventKind.COMMENT) == []
    tick(both.service)
    assert both.incident["short_description"] == "Theirs"
    assert both.incident["category"] == "hardware"

    both.service.incoming.switch(on=True)
    pull(both.service)
    assert both.ticket.category == "hardware"
    assert [one.body for one in entries(both, EventKind.COMMENT)] == ["Hello?"]


# -- journals -----------------------------------------------------------------------------------


def test_comments_and_work_notes_arrive_once_with_author_and_time(both: BothSides) -> None:
    both.there(comments="We look into it")
    both.there(by="fred.luddy", work_notes="It is the switch")
    for _ in range(3):
        pull(both.service)
    (comment,) = entries(both, EventKind.COMMENT)
    (note,) = entries(both, EventKind.INTERNAL_NOTE)
    assert (comment.author, comment.body, comment.internal) == (
        "beth.anglin",
        "We look into it",
        False,
    )
    assert (note.author, note.body, note.internal) == ("fred.luddy", "It is the switch", True)
    age = datetime.now(UTC) - comment.created_at
    assert abs(age) < timedelta(minutes=5)


def test_our_own_notes_coming_back_are_not_doubled_nor_sent_again(both: BothSides) -> None:
    both.desk.note(both.id, "From our side", internal=True)
    tick(both.service)
    before = len(both.instance.journal(both.sys_id))
    pull(both.service)
    assert [one.body for one in entries(both, EventKind.INTERNAL_NOTE)] == ["From our side"]
    both.service.push.sync(both.id, by=both.desk.user.email)
    assert len(both.instance.journal(both.sys_id)) == before


def test_a_note_with_a_mark_of_an_earlier_version_is_not_doubled(
    both: BothSides, engine: Engine
) -> None:
    note = both.desk.note(both.id, "From our side", internal=True, push=False)
    with writing(engine) as conn:
        named = ticket_events.c.id == note.id
        conn.execute(update(ticket_events).where(named).values(sn_mark="57-ab12cd34"))
    both.there(work_notes="From our side\n\n[ref sic-57-ab12cd34]")
    pull(both.service)
    assert [one.body for one in entries(both, EventKind.INTERNAL_NOTE)] == ["From our side"]


def test_a_foreign_text_that_quotes_our_mark_still_arrives(both: BothSides) -> None:
    both.there(work_notes="As said in [ref sic-1-00000000]")
    pull(both.service)
    assert len(entries(both, EventKind.INTERNAL_NOTE)) == 1


def test_a_requester_reads_their_comments_and_never_their_work_notes(
    requester: TestClient, both: BothSides
) -> None:
    ticket = both.desk.ticket(requester="requester@example.com")
    both.service.push.create_from_ticket(ticket.id, by="desk@example.com")
    sys_id = str(both.service.push.status(ticket.id).ticket.sn_sys_id)
    both.instance.edit(sys_id, comments="For the caller", work_notes="Between technicians")
    pull(both.service)
    page = requester.get(f"/tickets/{ticket.id}").text
    assert "For the caller" in page
    assert "Between technicians" not in page


@pytest.mark.parametrize("closed", ["silently", "openly"])
def test_a_closed_journal_is_said_and_does_not_stop_the_fields(
    both: BothSides, closed: str
) -> None:
    if closed == "silently":
        both.instance.journal_readable = False
    else:
        both.instance.closed_tables.add("sys_journal_field")
    both.there(short_description="Theirs", comments="Unseen")
    state = pull(both.service)
    assert state.journal == "closed"
    assert both.ticket.subject == "Theirs"


def test_notes_from_there_do_not_count_as_a_persons_touch(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    made = instance.add_incident(number="INC1", short_description="Theirs")
    run = service.imports.start(by="admin@example.com", limit=10, import_tickets=True)
    service.imports.run_due()
    instance.edit(made["sys_id"], work_notes="Noted there")
    pull(service)
    undone = service.imports.undo(run.id, by="admin@example.com")
    assert (undone.removed, undone.kept_touched) == (1, 0)


# -- sweeping -----------------------------------------------------------------------------------


def test_a_deleted_incident_is_noticed_and_its_link_stays(
    agent: TestClient, both: BothSides, clock: Clock
) -> None:
    pull(both.service)
    both.instance.delete(both.sys_id)
    clock.forward(hours=25)
    state = pull(both.service)
    assert state.gone == 1
    assert both.ticket.linked
    text = f"{both.number} was deleted, or the integration account cannot see it"
    assert both.told().count(text) == 1
    assert text in agent.get(f"/tickets/{both.id}").text
    assert both.service.incidents.list().total == 0


def test_an_incident_that_is_shown_again_is_welcomed_back(both: BothSides, clock: Clock) -> None:
    both.instance.hidden_rows = {both.sys_id}
    assert pull(both.service).gone == 1
    both.instance.hidden_rows = set()
    both.incident["short_description"] = "Changed without a new stamp"
    clock.forward(hours=25)
    assert pull(both.service).gone == 0
    assert "is visible again" in both.told()


def test_a_change_without_a_new_stamp_is_found_by_the_sweep(both: BothSides, clock: Clock) -> None:
    pull(both.service)
    for number in range(2 * PAGE):
        both.instance.add_incident(number=f"INC{number:07}")
    pull(both.service)
    both.incident.update(short_description="By a script", sys_updated_on=LONG_AGO)
    pull(both.service)
    assert both.ticket.subject == "Mail is down"
    clock.forward(hours=25)
    pull(both.service)
    assert both.ticket.subject == "By a script"


def test_what_the_account_cannot_see_is_counted_and_said(
    agent: TestClient, both: BothSides
) -> None:
    pull(both.service)
    made = [both.instance.add_incident(number=f"INC{number}")["sys_id"] for number in range(5)]
    both.instance.hidden_rows = set(made[:3])
    state = pull(both.service)
    assert (state.rows, state.hidden) == (3, 3)
    page = agent.get("/servicenow").text
    assert "The integration account cannot see 3 more." in page


# -- what people see ----------------------------------------------------------------------------


def test_an_admin_pulls_and_switches_and_an_agent_only_reads(
    agent: TestClient, admin: TestClient, both: BothSides
) -> None:
    both.there(short_description="Theirs")
    assert "Check now" not in agent.get("/servicenow").text
    assert "Check now" in admin.get("/servicenow").text
    assert admin.post("/servicenow/incoming/pull").status_code == 303
    tick(both.service)
    assert both.ticket.subject == "Theirs"
    admin.post("/servicenow/incoming/switch", data={"on": "false"})
    assert "Incoming changes are off." in agent.get("/servicenow").text
    assert agent.post("/servicenow/incoming/switch", data={"on": "true"}).status_code == 403


def test_scripts_read_how_it_stands(api: TestClient, both: BothSides) -> None:
    assert api.post("/api/sn/incoming/pull").status_code == 202
    tick(both.service)
    body = api.get("/api/sn/incoming").json()
    assert (body["rows"], body["hidden"], body["every_seconds"]) == (1, 0, None)
    assert body["watermark"]
    assert body["taking_changes"] is True


def test_values_that_say_nothing_here_are_listed_with_how_often_and_where(
    agent: TestClient, both: BothSides
) -> None:
    for _ in range(2):
        both.instance.add_incident(state="-5", priority="9", category="facilities")
    both.incident["state"] = "-5"
    pull(both.service)
    card = soup(agent.get("/servicenow/unmapped", headers=HTMX).text)
    rows = [[cell.get_text() for cell in row.select("td")] for row in card.select("tbody tr")]
    assert rows == [
        ["State", "-5", "None", "3"],
        ["Priority", "9", "None", "2"],
        ["Category", "facilities", "None", "2"],
    ]
    assert card.select_one("a[href='/servicenow?state=-5']")
    assert agent.get("/servicenow/unmapped").headers["location"].startswith("/servicenow/mapping")
    assert both.ticket.status == "open"


def test_a_category_changed_there_decides_about_the_prediction(
    both: BothSides, engine: Engine
) -> None:
    pull(both.service)
    both.there(category="hardware")
    pull(both.service)
    assert both.ticket.category == "hardware"
    with reading(engine) as conn:
        said = predictions.find_current(conn, both.id, Field.CATEGORY)
    assert said is not None
    assert (said.settled_by, said.settled_from, said.settled_to) == (
        "ServiceNow",
        "network",
        "hardware",
    )


def test_who_asks_while_a_pull_is_under_way_gets_another(both: BothSides, clock: Clock) -> None:
    service = both.service
    service.incoming.ask()

    def asked_meanwhile() -> bool:
        if clock() == before:
            clock.forward(seconds=5)
            service.incoming.ask()
        return False

    before = clock()
    assert service.incoming.run_due(stopping=asked_meanwhile)
    assert service.incoming.run_due()
    assert not service.incoming.run_due()


def test_what_was_taken_over_is_found_by_its_new_words(both: BothSides) -> None:
    both.there(short_description="The projector flickers")
    pull(both.service)
    wanted = TicketFilter(q="projector")
    found, _ = both.desk.services.tickets.after(wanted, both.desk.user, last=None, limit=5)
    assert [one.id for one in found] == [both.id]
