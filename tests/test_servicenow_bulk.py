"""Long reads: hidden rows, rows that move, cancelled pages, limits of requests, crashes."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db import change_cursor, incidents
from app.db.engine import reading
from app.errors import Kind, ServiceNowRejected, ServiceNowUnavailable
from app.integrations.servicenow import mapping
from app.integrations.servicenow.bulk import SMALLEST_PAGE, BulkReader, Stream, streams
from app.integrations.servicenow_client import BasicAuth, Query, ServiceNowClient, build_slots
from app.limits import Limits
from app.models.sync_runs import RunState, SyncRun
from app.models.views import TicketFilter
from app.services.servicenow import ServiceNowService
from app.services.servicenow.pull.import_runs import pause_after
from app.settings import Settings
from app.simulator import Instance
from tests.conftest import HTMX, Clock
from tests.desk import Desk
from tests.html import find, soup

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def service(app: FastAPI) -> ServiceNowService:
    found: ServiceNowService = app.state.services.servicenow
    return found


def fill(instance: Instance, count: int, *, seconds: int = 60) -> list[str]:
    """So many incidents, the later ones updated later; answers their sys_ids in that order."""
    return [
        instance.add_incident(
            number=f"INC{number:07}",
            short_description=f"Trouble {number}",
            sys_updated_on=mapping.format_stamp(START + timedelta(seconds=seconds * number)),
        )["sys_id"]
        for number in range(count)
    ]


def start(service: ServiceNowService, **wanted: object) -> SyncRun:
    options = {"limit": 100_000, "import_tickets": True} | wanted
    return service.imports.start(by="admin@example.com", **options)  # type: ignore[arg-type]


def pull(service: ServiceNowService, **wanted: object) -> SyncRun:
    run = start(service, **wanted)
    service.imports.run_due()
    return service.imports.get(run.id)


def imported(desk: Desk) -> list[str]:
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=5000)
    return sorted(ticket.sn_sys_id or "" for ticket in found)


def known(engine: Engine, settings: Settings) -> dict[str, object]:
    with reading(engine) as conn:
        return dict(incidents.connection(conn, settings.servicenow.host) or {})


def watermark(engine: Engine, settings: Settings) -> datetime | None:
    with reading(engine) as conn:
        return change_cursor.find(conn, settings.servicenow.host).watermark


def words(html: str) -> str:
    return " ".join(soup(html).get_text(" ").split())


def limits_asked(instance: Instance) -> list[int]:
    return [
        int(request["query"]["sysparm_limit"])
        for request in instance.requests
        if "sys_id" in request["query"].get("sysparm_query", "")
    ]


# -- ranges and counts -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_sys_id_is_in_exactly_one_stream(count: int) -> None:
    made = streams(count)
    dice = random.Random(count)
    edges = [one.lower for one in made if one.lower]
    for sys_id in (
        *edges,
        "0" * 32,
        "f" * 32,
        *(f"{dice.getrandbits(128):032x}" for _ in "x" * 99),
    ):
        inside = [s for s in made if sys_id >= s.lower and (not s.upper or sys_id < s.upper)]
        assert len(inside) == 1


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seed", range(4))
def test_what_access_rules_hide_is_counted_and_the_rest_imported_once(
    service: ServiceNowService, instance: Instance, desk: Desk, seed: int
) -> None:
    ids = sorted(fill(instance, 400))
    dice = random.Random(seed)
    instance.hidden_rows = {*dice.sample(ids, 60), *ids[:70], *ids[200:320], ids[-1]}
    run = pull(service)
    assert (run.state, run.hidden) == (RunState.DONE, len(instance.hidden_rows))
    assert imported(desk) == sorted(set(ids) - instance.hidden_rows)
    assert run.percent == 100


@pytest.mark.usefixtures("small_pages")
def test_rows_that_change_come_and_go_meanwhile_are_neither_lost_nor_doubled(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    ids = fill(instance, 400)
    dice = random.Random(5)
    gone: set[str] = set()
    instance.hidden_rows = set(dice.sample(ids, 30))

    def meanwhile() -> bool:
        left = [one for one in ids if one not in gone]
        for sys_id in dice.sample(left, 20):
            instance.incidents[sys_id] |= {
                "sys_updated_on": instance.now(),
                "sys_mod_count": "9",
            }
        for sys_id in dice.sample(left, 5):
            instance.delete(sys_id)
            gone.add(sys_id)
        fill(instance, 5)
        return False

    start(service)
    service.imports.run_due(stopping=meanwhile)
    found = imported(desk)
    assert len(found) == len(set(found))
    assert set(found) >= set(ids) - gone - instance.hidden_rows


def test_an_instance_that_does_not_sort_is_refused(settings: Settings, instance: Instance) -> None:
    fill(instance, 20)
    sn = settings.servicenow
    slots = build_slots(url=sn.instance_url, auth=BasicAuth(sn.username, sn.password), timeout=5)
    client = ServiceNowClient(slots)
    reader = BulkReader(client, Query().order_by("sys_updated_on"), ("sys_id",), len)
    with pytest.raises(ServiceNowRejected):
        reader.read(Stream(0))
    client.close()


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [1, 2, 50, 51, 400])
def test_a_row_that_the_instance_repeats_is_one_row(
    service: ServiceNowService, instance: Instance, desk: Desk, count: int
) -> None:
    """Where the page is full, the row that comes twice leaves no room for the last one."""
    ids = fill(instance, count)
    instance.faults.add("repeated_row", times=None, method="GET", path="/incident")
    run = pull(service)
    assert (run.state, run.created, run.hidden) == (RunState.DONE, count, 0)
    assert imported(desk) == sorted(ids)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (("a", "b", "b", "c"), "abc"),
        (("a", "a", "a"), "a"),
        (("a", "b", "a", "c"), "abc"),
        (("0", "a"), "a"),
        (("b", "a", "c"), None),
        (("a", "b", "5"), None),
    ],
)
def test_only_a_row_that_goes_back_is_refused(rows: tuple[str, ...], kept: str | None) -> None:
    answer = httpx.Response(200, json={"result": [{"sys_id": one * 32} for one in rows]})
    transport = httpx.MockTransport(lambda _: answer)
    slot = httpx.Client(base_url="https://instance.test", transport=transport)
    reader = BulkReader(ServiceNowClient([slot]), Query(), ("sys_id",), tuple)
    stream = Stream(0, last_sys_id="0" * 32)
    if kept is None:
        with pytest.raises(ServiceNowRejected):
            reader.read(stream)
    else:
        page = reader.read(stream).page
        assert [row["sys_id"] for row in page] == [one * 32 for one in kept]


# -- the newest N ------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seconds", [60, 0])
def test_the_newest_are_exactly_as_many_as_wanted_though_they_share_a_second(
    service: ServiceNowService, instance: Instance, seconds: int
) -> None:
    fill(instance, 260, seconds=seconds)
    run = pull(service, limit=170)
    assert (run.fetched, run.created, run.capped) == (170, 170, True)
    assert pull(service, limit=170).unchanged == 170
    assert not pull(service, limit=260).capped


@pytest.mark.usefixtures("small_pages")
def test_none_of_the_newest_may_be_seen(service: ServiceNowService, instance: Instance) -> None:
    ids = fill(instance, 200)
    instance.hidden_rows = set(ids[-60:])
    run = pull(service, limit=60)
    assert (run.state, run.fetched) == (RunState.DONE, 0)


def test_a_field_that_the_instance_does_not_know_imports_nothing(
    service: ServiceNowService, instance: Instance, desk: Desk
) -> None:
    fill(instance, 5)
    run = pull(service, query="nosuchfield=1")
    assert run.state is RunState.FAILED
    assert "nosuchfield" in (run.error or "")
    assert imported(desk) == []


# -- cancelled pages ---------------------------------------------------------------------------


def test_pages_get_smaller_until_the_instance_copes_and_the_size_is_remembered(
    service: ServiceNowService, instance: Instance, engine: Engine, settings: Settings
) -> None:
    fill(instance, 300)
    instance.largest_page = 130
    run = pull(service)
    assert (run.state, run.created) == (RunState.DONE, 300)
    assert {1000, 500, 250, 125} == {size for size in limits_asked(instance) if size > 50}
    assert known(engine, settings)["page_size"] == 125
    instance.requests.clear()
    assert pull(service).unchanged == 300
    assert max(limits_asked(instance)) == 125


def test_an_instance_that_cancels_the_smallest_page_makes_the_run_wait(
    service: ServiceNowService, instance: Instance
) -> None:
    fill(instance, 60)
    instance.largest_page = SMALLEST_PAGE
    run = start(service)
    service.imports.run_due(stopping=lambda: True)
    instance.largest_page = SMALLEST_PAGE - 1
    assert pull(service).state is not RunState.FAILED
    assert service.imports.get(run.id).fetched <= 60


# -- limits and trouble ------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pages")
def test_a_run_waits_out_the_limit_of_requests_and_goes_on(
    service: ServiceNowService,
    instance: Instance,
    admin: TestClient,
    clock: Clock,
    desk: Desk,
) -> None:
    ids = fill(instance, 400)
    instance.rate_limit = 4
    run = start(service)
    rounds = 0
    while not service.imports.get(run.id).finished:
        service.imports.run_due()
        now = service.imports.get(run.id)
        if now.waiting:
            rounds += 1
            assert now.waiting_until is not None
            assert timedelta(0) < now.waiting_until - clock() <= timedelta(hours=1)
            card = soup(admin.get(f"/servicenow/pulls/{run.id}", headers=HTMX).text)
            assert "The import resumes automatically" in card.get_text(" ", strip=True)
            assert not service.imports.run_due()
            clock.forward(hours=1, seconds=1)
            instance.rate_window_seconds = 0  # An hour later there too.
            instance.rate_limit = 4
            if rounds == 2:
                instance.rate_limit = None
            else:
                instance.rate_window_seconds = 3600
    assert rounds >= 1
    assert imported(desk) == sorted(ids)


@pytest.mark.usefixtures("small_pages")
def test_passing_trouble_makes_a_run_wait_and_go_on(
    service: ServiceNowService, instance: Instance, clock: Clock
) -> None:
    fill(instance, 60)
    run = start(service)
    instance.semaphores = 0
    service.imports.run_due()
    assert service.imports.get(run.id).waiting
    instance.semaphores = None
    clock.forward(seconds=31)
    service.imports.run_due()
    ended = service.imports.get(run.id)
    assert (ended.state, ended.created, ended.error) == (RunState.DONE, 60, None)


def test_a_run_waits_longer_each_time_and_not_for_ever() -> None:
    busy = ServiceNowUnavailable("Busy.", kind=Kind.BUSY)
    spans = [pause_after(busy, stumbles) for stumbles in range(7)]
    assert spans[-1] is None
    assert spans[:-1] == sorted(spans[:-1], key=lambda span: span or timedelta())
    told = ServiceNowUnavailable("Limited.", kind=Kind.RATE, retry_after=3500)
    assert pause_after(told, 99) == timedelta(seconds=3500)
    assert pause_after(ServiceNowUnavailable("No.", kind=Kind.AUTH), 0) is None


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_run_goes_on_from_every_page_in_each_stream(
    service: ServiceNowService, instance: Instance, desk: Desk, times: int
) -> None:
    ids = fill(instance, 400)
    run = start(service)
    while not service.imports.get(run.id).finished:
        looks = iter([False] * (times - 1))
        service.imports.run_due(stopping=partial(next, looks, True))
        service.recover()
    ended = service.imports.get(run.id)
    assert (ended.created, ended.fetched) == (400, 400)
    assert imported(desk) == sorted(ids)


# -- the watermark -----------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pages")
def test_a_whole_import_raises_the_watermark_to_what_was_newest_at_its_start(
    service: ServiceNowService, instance: Instance, engine: Engine, settings: Settings
) -> None:
    ids = fill(instance, 200)
    newest = mapping.parse_stamp(instance.incidents[ids[-1]]["sys_updated_on"])

    def meanwhile() -> bool:
        instance.incidents[ids[0]]["sys_updated_on"] = "2026-06-01 00:00:00"
        return False

    for narrower in ({"state": "1"}, {"limit": 100}, {"dry_run": True}, {"import_tickets": False}):
        pull(service, **narrower)
        assert watermark(engine, settings) is None
    start(service)
    service.imports.run_due(stopping=meanwhile)
    assert watermark(engine, settings) == newest


# -- the form ----------------------------------------------------------------------------------

Fields = dict[str, object]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"query": "category~network"}, "query"),
        ({"limit": "many"}, "limit"),
        ({"limit": "200000"}, "limit"),
        ({"updated_from": "yesterday"}, "updated_from"),
        ({"updated_from": "0001-01-01"}, "updated_from"),
        ({"updated_until": "9999-12-31"}, "updated_until"),
        ({"updated_from": "2026-02-01", "updated_until": "2026-01-01"}, "updated_until"),
    ],
)
@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_form_that_cannot_be_used_comes_back_as_typed(
    admin: TestClient, instance: Instance, wrong: Fields, field: str, headers: dict[str, str]
) -> None:
    typed: Fields = {"limit": "70", "state": ["2", "3"], "import_tickets": "true"} | wrong
    answer = admin.post("/servicenow/pulls", data=typed, headers=headers)
    form = find(soup(answer.text), "#pull-form")
    assert answer.status_code == 422
    assert find(form, f"#{field}-error").get_text(strip=True)
    assert find(form, f"#{field}")["aria-invalid"] == "true"
    for name, value in typed.items():
        if isinstance(value, str) and name != "import_tickets":
            assert find(form, f"[name={name}]")["value"] == value
    ticked = [box["value"] for box in form.select("[name=state][checked]")]
    assert ticked == ["2", "3"]
    buttons = [(one.get_text(), one.get("name")) for one in form.select("button")]
    assert buttons == [("Start dry run", "dry_run"), ("Start import", None)]
    assert not instance.requests


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z", 1e308],
)
@pytest.mark.parametrize("field", ["updated_from", "updated_until"])
def test_a_time_that_no_incident_can_have_is_refused(
    admin: TestClient, instance: Instance, field: str, moment: object
) -> None:
    answer = admin.post("/api/sn/sync/pull", json={"limit": 1, field: moment})
    assert answer.status_code == 422
    assert field in answer.json()["errors"]
    assert not instance.requests


@pytest.mark.usefixtures("small_pages")
def test_the_card_tells_the_rate_and_the_time_left(
    service: ServiceNowService,
    instance: Instance,
    admin: TestClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Of several streams a short last page may come second.
    monkeypatch.setattr("app.services.servicenow.pull.import_worker.LIMITS", Limits(streams=1))
    fill(instance, 300)
    run = start(service)

    def ten_seconds_later() -> bool:
        clock.forward(seconds=10)
        return service.imports.get(run.id).fetched >= 100

    service.imports.run_due(stopping=ten_seconds_later)
    said = words(admin.get(f"/servicenow/pulls/{run.id}", headers=HTMX).text)
    assert "100 of 300, 10 per second, about 20 s left" in said


def test_an_agent_gets_no_form(agent: TestClient) -> None:
    assert not soup(agent.get("/servicenow").text).select("#pull-card")


def test_the_card_says_what_was_hidden_and_what_an_undo_kept(
    service: ServiceNowService,
    instance: Instance,
    desk: Desk,
    admin: TestClient,
) -> None:
    ids = fill(instance, 12)
    instance.hidden_rows = {ids[3]}
    run = pull(service)
    said = words(admin.get(f"/servicenow/pulls/{run.id}", headers=HTMX).text)
    assert "1 more incident matches, but access rules hide it" in said
    found, _ = desk.services.tickets.after(TicketFilter(), desk.user, last=None, limit=2)
    desk.note(found[0].id, "Mine", internal=True)
    answer = admin.post(f"/servicenow/pulls/{run.id}/undo", headers=HTMX)
    said = words(answer.text)
    assert "10 tickets deleted, 1 not deleted because it was changed" in said


def test_a_row_that_moves_up_while_hidden_ones_are_stepped_over_is_read(
    settings: Settings, instance: Instance
) -> None:
    """Hidden rows that are deleted between two pages pull the rows behind them forward."""
    ids = sorted(fill(instance, 2 * SMALLEST_PAGE))
    hidden, shown = ids[:SMALLEST_PAGE], ids[SMALLEST_PAGE:]
    instance.hidden_rows = set(hidden)
    sn = settings.servicenow
    auth = BasicAuth(sn.username, sn.password)
    slots = build_slots(url=sn.instance_url, auth=auth, timeout=5, count=1)

    def delete_some(response: httpx.Response) -> None:
        for sys_id in hidden[:5]:
            if sys_id in instance.incidents:
                instance.delete(sys_id)

    slots[0].event_hooks = {"response": [delete_some]}
    client = ServiceNowClient(slots)
    reader = BulkReader(client, Query(), ("sys_id",), list, page_size=SMALLEST_PAGE)
    found = [row["sys_id"] for batch in reader.batches([Stream(0)]) for row in batch.page]
    client.close()
    assert found == shown
