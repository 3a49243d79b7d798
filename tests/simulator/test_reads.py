"""Lists, records, queries and shapes: rows of docs/servicenow.md 8 by their numbers."""

from typing import Any

import httpx
import pytest

from app.simulator import Instance
from app.simulator.base import sys_id_of
from tests.simulator.conftest import TABLE, failure, result


def numbers(http: httpx.Client, query: str, **parameters: str) -> list[str]:
    response = http.get(TABLE, params={"sysparm_query": query, **parameters})
    return [row["number"] for row in result(response)]


@pytest.fixture
def three(instance: Instance) -> Instance:
    """INC1 to INC3: priority 1, 3, 5; the second is on hold and assigned."""
    luddy = sys_id_of("sys_user", "fred.luddy")
    instance.add_incident(number="INC1", impact="1", urgency="1", short_description="Mail is down")
    instance.add_incident(
        number="INC2",
        impact="2",
        urgency="2",
        state="3",
        assigned_to=luddy,
        short_description="A ^ caret, a comma",
    )
    instance.add_incident(number="INC3", sys_updated_on="2026-01-05 10:00:00")
    return instance


def test_row_05_a_list_counts_and_links_its_pages(http: httpx.Client, instance: Instance) -> None:
    for number in range(3):
        instance.add_incident(number=f"INC{number}")
    response = http.get(TABLE, params={"sysparm_limit": "1", "sysparm_query": "ORDERBYnumber"})
    assert response.headers["X-Total-Count"] == "3"
    assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert all(isinstance(v, str | dict) for row in result(response) for v in row.values())
    links = {
        rel: address
        for link in response.headers["Link"].replace("%5E", "^").split(",")
        for address, rel in [link.split(";")]
    }
    assert "sysparm_offset=-1" in links['rel="prev"']
    assert "sysparm_offset=1" in links['rel="next"']
    assert "sysparm_offset=2" in links['rel="last"']


def test_row_05_nothing_found_is_an_empty_list_but_404_in_version_1(http: httpx.Client) -> None:
    assert result(http.get(TABLE)) == []
    assert failure(http.get("/api/now/v1/table/incident"))[0] == 404
    assert result(http.get("/api/now/v2/table/incident")) == []


def test_row_06_one_record_or_404(http: httpx.Client, instance: Instance) -> None:
    incident = instance.add_incident(number="INC1")
    assert result(http.get(f"{TABLE}/{incident['sys_id']}"))["number"] == "INC1"
    assert failure(http.get(f"{TABLE}/{'0' * 32}")) == (
        404,
        "No Record found",
        "Record doesn't exist or ACL restricts the record retrieval",
    )


def test_row_10_an_unknown_field_in_a_query_is_dropped(http: httpx.Client, three: Instance) -> None:
    query = "nosuch=1^number=INC2"
    assert numbers(http, query) == ["INC2"]
    assert len(numbers(http, "nosuch=1")) == 3
    three.invalid_query_regime = "no_rows"
    assert numbers(http, query) == []
    three.invalid_query_regime = "forbidden"
    response = http.get(TABLE, params={"sysparm_query": query})
    assert failure(response)[:2] == (403, "Insufficient rights to query records")


def test_row_11_unknown_fields_asked_for_are_ignored(http: httpx.Client, three: Instance) -> None:
    rows = result(http.get(TABLE, params={"sysparm_fields": "number,nosuch"}))
    assert all(set(row) == {"number"} for row in rows)


@pytest.mark.parametrize(
    ("parameters", "empty", "filled"),
    [
        ({}, "", {"link": "http", "value": "id"}),
        ({"sysparm_exclude_reference_link": "true"}, "", "id"),
        ({"sysparm_display_value": "true"}, "", {"display_value": "Fred Luddy", "link": "http"}),
        (
            {"sysparm_display_value": "true", "sysparm_exclude_reference_link": "true"},
            "",
            "Fred Luddy",
        ),
        (
            {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"},
            {"display_value": "", "value": ""},
            {"display_value": "Fred Luddy", "value": "id"},
        ),
    ],
    ids=["plain", "no links", "display", "display, no links", "all"],
)
def test_row_19_references_have_the_shape_of_the_mode(
    http: httpx.Client, three: Instance, parameters: dict[str, str], empty: Any, filled: Any
) -> None:
    query = {"sysparm_query": "ORDERBYnumber", "sysparm_fields": "assigned_to"}
    rows = [row["assigned_to"] for row in result(http.get(TABLE, params=query | parameters))]
    assert rows[0] == empty
    assert _plain(rows[1]) == filled


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    short = {sys_id_of("sys_user", "fred.luddy"): "id"}
    return short.get(value, "http" if value.startswith("http") else value)


def test_row_19_hidden_fields_are_left_out(http: httpx.Client, three: Instance) -> None:
    three.hidden_fields = {"incident": frozenset({"caller_id"})}
    row = result(http.get(TABLE, params={"sysparm_limit": "1"}))[0]
    assert "caller_id" not in row
    assert "number" in row


def test_row_20_hidden_rows_shorten_the_page_and_not_the_count(
    http: httpx.Client, three: Instance
) -> None:
    three.hidden_rows = {r["sys_id"] for r in three.incidents.values() if r["number"] == "INC1"}
    parameters = {"sysparm_limit": "2", "sysparm_query": "ORDERBYnumber"}
    first = http.get(TABLE, params=parameters)
    assert [row["number"] for row in result(first)] == ["INC2"]
    assert first.headers["X-Total-Count"] == "3"


def test_row_30_without_an_order_rows_move_between_pages(
    http: httpx.Client, instance: Instance
) -> None:
    for number in range(30):
        instance.add_incident(number=f"INC{number:02}")
    orders = {tuple(numbers(http, "")) for _ in range(5)}
    assert len(orders) > 1
    assert len({tuple(numbers(http, "ORDERBYnumber")) for _ in range(3)}) == 1


def test_row_33_display_mode_speaks_to_people(http: httpx.Client, instance: Instance) -> None:
    account = instance.user_named("copilot")
    assert account is not None
    account["time_zone"] = "US/Pacific"
    instance.date_format = "%d-%b-%Y %H:%M:%S"
    incident = instance.add_incident(
        calendar_stc="102197",
        calendar_duration="1970-01-01 08:00:00",
        opened_at="2026-01-05 10:00:00",
        state="2",
    )
    row = result(http.get(f"{TABLE}/{incident['sys_id']}?sysparm_display_value=true"))
    assert row["calendar_stc"] == "102,197"
    assert row["calendar_duration"] == "8 Hours"
    assert row["sla_due"] == "UNKNOWN"
    assert row["opened_at"] == "05-Jan-2026 02:00:00"
    assert row["state"] == "In Progress"


def test_row_34_a_misspelt_parameter_returns_the_whole_table(
    http: httpx.Client, three: Instance
) -> None:
    assert len(result(http.get(TABLE, params={"query": "number=INC1"}))) == 3
    assert len(result(http.get(TABLE, params={"state": "On Hold"}))) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("priority=1", ["INC1"]),
        ("priority!=1", ["INC2", "INC3"]),
        ("priority<3", ["INC1"]),
        ("priority>=3", ["INC2", "INC3"]),
        ("priorityIN1,5", ["INC1", "INC3"]),
        ("priorityNOT IN1,5", ["INC2"]),
        ("priorityBETWEEN1@3", ["INC1", "INC2"]),
        ("short_descriptionLIKEmail", ["INC1"]),
        ("short_descriptionSTARTSWITHMAIL", ["INC1"]),
        ("short_descriptionENDSWITHcomma", ["INC2"]),
        ("short_descriptionNOT LIKEmail", ["INC2", "INC3"]),
        ("short_descriptionLIKEa ^^ caret", ["INC2"]),
        ("assigned_toISEMPTY", ["INC1", "INC3"]),
        ("assigned_toISNOTEMPTY^EQ", ["INC2"]),
        ("assigned_to.email=fred.luddy@example.com", ["INC2"]),
        ("assigned_toSTARTSWITHfred", ["INC2"]),
        ("priority=1^ORpriority=3^state=3", ["INC2"]),
        ("priority=1^NQstate=3", ["INC1", "INC2"]),
        ("sys_updated_on<javascript:gs.daysAgoStart(3)", ["INC3"]),
        ("sys_updated_on<javascript:gs.nosuch(3)^number=INC1", ["INC1"]),
    ],
)
def test_encoded_queries_are_read_as_an_instance_reads_them(
    http: httpx.Client, three: Instance, query: str, expected: list[str]
) -> None:
    assert numbers(http, f"{query}^ORDERBYnumber") == expected


def test_orders_apply_in_turn(http: httpx.Client, three: Instance) -> None:
    assert numbers(http, "ORDERBYDESCpriority^ORDERBYnumber") == ["INC3", "INC2", "INC1"]
