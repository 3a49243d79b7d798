"""Stamps in the future, clocks that are put right, and the zone of the integration account."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import IntegrityError

from app.db import import_runs
from app.db.engine import writing
from app.db.tables import sync_runs
from app.errors import Conflict
from app.integrations.servicenow.mapping import format_stamp, parse_stamp
from app.models.incoming_changes import IncomingState
from app.models.sync_runs import RunState, SyncRun
from app.services.servicenow import ServiceNowService
from app.services.servicenow.connection.instance_clock import ahead, reached
from app.services.servicenow.pull.change_poller import LONG_OVERLAP, OVERLAP
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.conftest import Clock
from tests.html import find, soup
from tests.test_servicenow_checks import steps_of

FAR = "2031-06-01 08:00:00"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WANTED: dict[str, Any] = {
    "row_limit": 1000,
    "query": "",
    "incident_state": "",
    "import_tickets": False,
    "dry_run": False,
}


@pytest.fixture
def now(clock: Clock, both: BothSides) -> Clock:
    """Our clock agrees with the instance's, and everything there was read."""
    clock.moment = datetime.now(UTC)
    pull(both.service)
    return clock


def pull(service: ServiceNowService) -> IncomingState:
    service.incoming.ask()
    service.incoming.run_due()
    return service.incoming.view().state


def sinces(instance: Instance) -> list[str]:
    """From when on incidents were asked for, since the last look."""
    mark = "sys_updated_on>="
    queries = [
        request["query"].get("sysparm_query", "")
        for request in instance.requests
        if request["path"].endswith("/incident")
    ]
    instance.requests.clear()
    return [query.split(mark)[1].split("^")[0] for query in queries if query.startswith(mark)]


# -- stamps in the future -------------------------------------------------------------------


@pytest.mark.parametrize("sends_date", [True, False])
def test_a_stamp_in_the_future_hides_no_change_and_is_reported(
    both: BothSides, now: Clock, admin: TestClient, api: TestClient, sends_date: bool
) -> None:
    both.instance.sends_date = sends_date
    both.instance.add_incident(sys_updated_on=FAR)
    state = pull(both.service)
    assert state.watermark is not None
    assert state.watermark <= datetime.now(UTC) + timedelta(seconds=2)
    both.there(short_description="After it")
    assert pull(both.service).ahead_at == parse_stamp(FAR)
    assert both.ticket.subject == "After it"
    assert api.get("/api/sn/incoming").json()["ahead_at"] == "2031-06-01T08:00:00Z"
    card = find(soup(admin.get("/servicenow").text), "#incoming-card")
    assert "later than ServiceNow's own clock" in card.get_text()


def test_a_stamp_that_was_put_right_is_not_reported_any_more(both: BothSides, now: Clock) -> None:
    row = both.instance.add_incident(sys_updated_on=FAR)
    assert pull(both.service).ahead_at
    both.instance.incidents[row["sys_id"]]["sys_updated_on"] = both.instance.now()
    assert pull(both.service).ahead_at is None


@pytest.mark.parametrize("sends_date", [True, False])
def test_the_first_pull_does_not_begin_in_the_future(
    both: BothSides, clock: Clock, sends_date: bool
) -> None:
    clock.moment = datetime.now(UTC)
    both.instance.sends_date = sends_date
    both.instance.add_incident(sys_updated_on=FAR)
    watermark = pull(both.service).watermark
    assert watermark is not None
    assert watermark <= datetime.now(UTC) + timedelta(seconds=2)


def test_an_import_does_not_move_the_watermark_into_the_future(both: BothSides, now: Clock) -> None:
    both.instance.add_incident(sys_updated_on=FAR)
    both.service.imports.start(by="admin@example.com", import_tickets=True)
    both.service.imports.run_due()
    state = both.service.incoming.view().state
    assert state.watermark is not None
    assert state.watermark <= datetime.now(UTC) + timedelta(seconds=2)


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_a_clock_there_that_is_put_right_loses_no_change(
    both: BothSides, now: Clock, minutes: int
) -> None:
    both.instance.clock_skew_seconds = 600
    both.there(short_description="Ten minutes early")
    pull(both.service)
    assert both.ticket.subject == "Ten minutes early"
    # Time passes, here and there; the watermark is ahead of the clock that was put right.
    now.forward(minutes=minutes)
    both.instance.clock_skew_seconds = 60 * minutes
    both.there(short_description="At the right time")
    both.instance.incidents[both.sys_id]["sys_updated_on"] = format_stamp(
        datetime.now(UTC) + timedelta(seconds=5)
    )
    for _ in range(2):
        pull(both.service)
        now.forward(seconds=1)
    assert both.ticket.subject == "At the right time"


def test_what_was_read_ends_with_the_newest_stamp_that_can_be_trusted() -> None:
    stamps = [NOON - HOUR, NOON, NOON + HOUR]
    assert reached([], theirs=NOON, ours=NOON) is None
    assert reached(stamps, theirs=NOON + 2 * HOUR, ours=NOON) == NOON + HOUR
    assert reached(stamps, theirs=NOON + HOUR / 2, ours=NOON) == NOON + HOUR / 2
    assert reached(stamps, theirs=None, ours=NOON + HOUR / 2) == NOON
    assert reached(stamps, theirs=None, ours=NOON - 2 * HOUR) == NOON - 2 * HOUR


def test_clocks_that_differ_a_little_are_no_report() -> None:
    assert ahead([NOON + timedelta(seconds=30)], theirs=NOON, ours=NOON) is None
    assert ahead([NOON + HOUR], theirs=NOON, ours=NOON + HOUR) == NOON + HOUR
    assert ahead([NOON + HOUR], theirs=None, ours=NOON) == NOON + HOUR


# -- looking back ---------------------------------------------------------------------------


def test_a_pull_looks_back_three_minutes_and_now_and_then_fifteen(
    both: BothSides, now: Clock
) -> None:
    spans = []
    for _ in range(12):
        watermark = both.service.incoming.view().state.watermark
        sinces(both.instance)
        now.forward(minutes=1)
        pull(both.service)
        assert watermark is not None
        spans.append(watermark - parse_stamp(sinces(both.instance)[0]))
    assert set(spans) == {OVERLAP, LONG_OVERLAP}
    assert spans.count(LONG_OVERLAP) == 1


def test_a_change_stamped_ten_minutes_late_does_not_wait_for_the_sweep(
    both: BothSides, now: Clock
) -> None:
    both.instance.add_incident(sys_updated_on=both.instance.now())
    pull(both.service)
    both.there(short_description="Committed late")
    late = datetime.now(UTC) - timedelta(minutes=10)
    both.instance.incidents[both.sys_id]["sys_updated_on"] = format_stamp(late)
    now.forward(minutes=1)
    pull(both.service)
    assert both.ticket.subject == "Mail is down"
    now.forward(minutes=9)
    pull(both.service)
    assert both.ticket.subject == "Committed late"


# -- the zone of the account ----------------------------------------------------------------


def in_zone(instance: Instance, zone: str, *, reading: str = "user") -> None:
    user = instance.user_named(instance.accounts.user)
    assert user
    user["time_zone"] = zone
    instance.literal_times = reading


@pytest.mark.parametrize("zone", ["US/Pacific", "Asia/Tokyo"])
def test_a_zone_in_which_queries_by_time_would_miss_changes_is_refused(
    both: BothSides, now: Clock, api: TestClient, zone: str
) -> None:
    before = datetime.now(UTC) - HOUR
    both.instance.add_incident(sys_updated_on=format_stamp(before))
    in_zone(both.instance, zone)
    now.forward(minutes=1)
    both.there(short_description="Theirs")
    error = pull(both.service).error
    assert error
    assert "not UTC" in error
    assert "set the account's time zone to GMT" in error
    steps = steps_of(api)
    assert steps["time_zone"]["status"] == "failed"
    assert "not UTC" in steps["time_zone"]["detail"]
    in_zone(both.instance, "UTC")
    assert pull(both.service).error is None
    assert both.ticket.subject == "Theirs"


def test_known_incidents_are_still_swept_once_a_day(both: BothSides, now: Clock) -> None:
    in_zone(both.instance, "US/Pacific")
    both.there(short_description="Theirs")
    now.forward(hours=25)
    assert pull(both.service).error
    assert both.ticket.subject == "Theirs"


def test_the_first_pull_finds_the_zone_out(both: BothSides) -> None:
    in_zone(both.instance, "US/Pacific")
    state = pull(both.service)
    assert state.error
    assert state.watermark is None


@pytest.mark.parametrize(("zone", "reading"), [("US/Pacific", "utc"), ("UTC", "user")])
def test_a_zone_that_does_not_matter_is_no_trouble(
    both: BothSides, now: Clock, api: TestClient, zone: str, reading: str
) -> None:
    in_zone(both.instance, zone, reading=reading)
    both.there(short_description="Theirs")
    assert pull(both.service).error is None
    assert both.ticket.subject == "Theirs"
    steps = steps_of(api)
    assert steps["time_zone"]["status"] == "passed"


def test_an_import_between_two_days_is_refused_in_such_a_zone(both: BothSides, now: Clock) -> None:
    in_zone(both.instance, "US/Pacific")
    run = both.service.imports.start(
        by="admin@example.com", dry_run=True, updated_from=datetime.now(UTC) - HOUR
    )
    both.service.imports.run_due()
    ended = both.service.imports.get(run.id)
    assert ended.state is RunState.FAILED
    assert ended.error
    assert "not UTC" in ended.error


# -- one pull at a time ---------------------------------------------------------------------


def test_the_database_keeps_one_open_pull(both: BothSides, engine: Engine, now: Clock) -> None:
    first = both.service.imports.start(by="admin@example.com")
    with writing(engine) as conn:
        row = dict(conn.execute(sync_runs.select()).mappings().one())
    del row["id"]
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.execute(insert(sync_runs).values(**row | {"state": RunState.RUNNING}))
    both.service.imports.run_due()
    assert both.service.imports.get(first.id).finished
    assert both.service.imports.start(by="admin@example.com").id > first.id


def test_two_processes_that_queue_a_pull_at_once_share_it(
    both: BothSides, engine: Engine, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("one process per SQLite file; set TEST_DATABASE_URL")
    look, others = import_runs.find_open, iter(["faster", *[""] * 100])

    def seen_too_early(conn: Connection) -> SyncRun | None:
        found = look(conn)
        if next(others):
            with engine.connect() as other, other.begin():
                import_runs.add(other, now=now(), created_by="other@example.com", **WANTED)
        return found

    monkeypatch.setattr(import_runs, "find_open", seen_too_early)
    joined = both.service.imports.start(by="admin@example.com")
    assert joined.created_by == "other@example.com"
    with pytest.raises(Conflict):
        both.service.imports.start(by="admin@example.com", dry_run=True)
