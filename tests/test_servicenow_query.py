"""Encoded queries: what goes in comes out, and nothing escapes its value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ServiceNowRejected
from app.integrations.servicenow.query import OPERATORS, Query
from app.simulator.query import matches, parse

VALUES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30)


@given(ours=VALUES, theirs=VALUES)
def test_a_value_matches_itself_and_nothing_else(ours: str, theirs: str) -> None:
    try:
        query = str(Query().equals("short_description", ours))
    except ServiceNowRejected:
        return
    read = parse(query, known=lambda _: True, caller={})
    record = {"short_description": theirs}
    found = matches(read, record, lambda row, name: row.get(name.partition("@")[0]))
    assert found is (ours.casefold() == theirs.casefold())


@pytest.mark.parametrize(
    "value",
    ["javascript:gs.getUserID()", " JavaScript:x", "a\nb", "a\rb", "a\x00b", "tab\there"],
)
def test_scripts_and_line_breaks_are_refused(value: str) -> None:
    with pytest.raises(ServiceNowRejected):
        Query().equals("email", value)
    with pytest.raises(ServiceNowRejected):
        Query.parse(f"email={value}")


# Also operators that this parser does not know, which ServiceNow has.
KNOWN_THERE = (
    *OPERATORS,
    *("INSTANCEOF", "ON", "NOTON", "RELATIVEGT", "DATEPART", "MATCH_RGX", "GT_FIELD", "<>"),
)


SCRIPTS = (
    "javascript:gs.now()",
    "a@javascript:gs.now()",
    "javascript:a@b",
    "a,b,JavaScript:gs.now()",
    "a@ javascript :gs.now()",
    "a^^javascript:gs.now()",
)


@pytest.mark.parametrize("operator", KNOWN_THERE)
def test_no_operator_lets_a_script_in(operator: str) -> None:
    for before in ("", "state=1^", "state=1^OR", "state=1^NQ"):
        for value in SCRIPTS:
            with pytest.raises(ServiceNowRejected):
                Query.parse(f"{before}sys_created_on{operator}{value}")


@given(before=VALUES, after=VALUES, operator=st.sampled_from(OPERATORS))
def test_a_query_with_a_script_anywhere_is_refused(before: str, after: str, operator: str) -> None:
    with pytest.raises(ServiceNowRejected):
        Query.parse(f"state{operator}{before}javascript:{after}")


@pytest.mark.parametrize("field", ["state^active", "", "1state", "state=1", "STATE", "a b"])
def test_a_field_is_a_name(field: str) -> None:
    with pytest.raises(ServiceNowRejected):
        Query().equals(field, "1")


def test_a_condition_is_added_to_every_group_and_the_order_comes_last() -> None:
    query = Query.parse("priority=1^NQcategory=network^ORcategory=software").equals("state", "2")
    assert str(query.order_by_descending("sys_updated_on")) == (
        "priority=1^state=2^NQcategory=network^ORcategory=software^state=2"
        "^ORDERBYDESCsys_updated_on"
    )


def test_a_literal_caret_stays_in_its_value() -> None:
    assert str(Query.parse("short_descriptionLIKEa^^b")) == "short_descriptionLIKEa^^b"
    assert str(Query().equals("short_description", "a^NQb")) == "short_description=a^^NQb"


@pytest.mark.parametrize(
    "text",
    ["nonsense", "state=1^", "^ORstate=1", "state=1^ORDERBYnumber", "ORstate=1", "=1", "state"],
)
def test_a_query_that_cannot_be_read_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ServiceNowRejected) as caught:
        Query.parse(text)
    assert caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_never_changed(text: str) -> None:
    try:
        query = Query.parse(text)
    except ServiceNowRejected:
        return
    assert str(query) == text.replace("^EQ", "").removeprefix("EQ^") or "EQ" in text
