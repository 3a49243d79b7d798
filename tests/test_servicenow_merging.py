"""The three-way merge by itself: nothing overwritten, nothing sent twice, an end to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.servicenow_mapping import Merge, merge, same
from app.models import CLEARABLE, RESOLUTION, SYNCED, Agreed, Priority, TicketStatus, Values

PEOPLE = st.sampled_from(["beth@example.com", "fred@example.com", "ABEL@example.com"])
WORDS = st.sampled_from(["Mail", "Mail is down", "word " * 40, "[code]x[/code]"])
CHOICES = {
    "subject": WORDS,
    "status": st.sampled_from(list(TicketStatus)),
    "priority": st.none() | st.sampled_from(list(Priority)),
    "category": st.none() | st.sampled_from(["network", "hardware", "software"]),
    "assignee": st.none() | PEOPLE,
    "assignment_group": st.none() | st.sampled_from(["a" * 32, "b" * 32]),
    "resolution_code": st.none() | st.sampled_from(["User error", "user ERROR", "Duplicate"]),
    "resolution_notes": st.none() | WORDS,
}
SIDES = st.fixed_dictionaries({name: CHOICES[name] for name in SYNCED})
THEIRS = st.fixed_dictionaries({name: st.none() | CHOICES[name] for name in SYNCED})
AGREED = st.fixed_dictionaries({"ours": SIDES, "theirs": THEIRS})


def moved(before: Values, after: Values) -> set[str]:
    return {name for name in SYNCED if before[name] != after[name]}


def carried_out(
    verdict: Merge, agreed: Agreed, ours: Values, theirs: Values
) -> tuple[Agreed, Values, Values]:
    """Agreed, ours and theirs as they are when everything but the conflicts was done."""
    ours = {**ours, **verdict.take}
    theirs = {**theirs, **{name: ours[name] for name in verdict.send}}
    done = (*verdict.send, *verdict.take, *verdict.settled)
    sides = {"ours": ours, "theirs": theirs}
    after = {
        side: {**agreed[side], **{name: values[name] for name in done}}
        for side, values in sides.items()
    }
    return after, ours, theirs


@given(AGREED)
def test_nothing_moved_means_nothing_to_do(agreed: Agreed) -> None:
    assert merge(agreed, agreed["ours"], agreed["theirs"]) == Merge((), {}, (), ())


@given(AGREED, SIDES)
def test_what_moved_here_alone_is_never_taken_from_there_and_never_asked_about(
    agreed: Agreed, ours: Values
) -> None:
    verdict = merge(agreed, ours, agreed["theirs"])
    assert not verdict.take
    assert not verdict.conflicts
    assert set(verdict.send) | set(verdict.settled) <= moved(agreed["ours"], ours)


@given(AGREED, THEIRS)
def test_what_moved_there_alone_is_never_sent_and_never_asked_about(
    agreed: Agreed, theirs: Values
) -> None:
    verdict = merge(agreed, agreed["ours"], theirs)
    assert not verdict.send
    assert not verdict.conflicts
    assert set(verdict.take) | set(verdict.settled) <= moved(agreed["theirs"], theirs)


@given(AGREED, SIDES, THEIRS)
def test_a_value_that_moved_on_both_sides_is_never_overwritten_on_either(
    agreed: Agreed, ours: Values, theirs: Values
) -> None:
    verdict = merge(agreed, ours, theirs)
    for name in moved(agreed["ours"], ours) & moved(agreed["theirs"], theirs):
        assert name not in verdict.send
        if ours[name] is not None or name in CLEARABLE:
            assert name not in verdict.take
            if not same(name, ours[name], theirs[name]) and name not in RESOLUTION:
                assert name in verdict.conflicts


@given(AGREED, SIDES, THEIRS)
def test_what_is_unknown_there_never_empties_anything_here(
    agreed: Agreed, ours: Values, theirs: Values
) -> None:
    take = merge(agreed, ours, theirs).take
    assert all(take[name] is not None for name in set(take) - set(CLEARABLE))


@given(AGREED, SIDES, THEIRS)
def test_once_carried_out_only_the_conflicts_are_left(
    agreed: Agreed, ours: Values, theirs: Values
) -> None:
    verdict = merge(agreed, ours, theirs)
    again = merge(*carried_out(verdict, agreed, ours, theirs))
    assert set(again.conflicts) == set(verdict.conflicts)
    assert (again.send, dict(again.take)) == ((), {})


@given(AGREED, SIDES, THEIRS, st.sets(st.sampled_from(SYNCED)))
def test_a_field_hidden_from_us_is_neither_taken_nor_in_conflict(
    agreed: Agreed, ours: Values, theirs: Values, hidden: set[str]
) -> None:
    shown = {name: value for name, value in theirs.items() if name not in hidden}
    verdict = merge(agreed, ours, shown)
    assert not hidden & set(verdict.take)
    assert not hidden & set(verdict.conflicts)


BASE = dict.fromkeys(SYNCED) | {"subject": "Mail", "status": TicketStatus.OPEN}


@pytest.mark.parametrize(
    ("here", "there", "sent", "taken", "asked"),
    [
        ({"priority": "high"}, {"category": "network"}, ["priority"], ["category"], []),
        ({"priority": "high"}, {"priority": "low"}, [], [], ["priority"]),
        ({"priority": "high"}, {"priority": "high"}, [], [], []),
        ({"assignee": None}, {"assignee": "beth@example.com"}, [], ["assignee"], []),
        ({"resolution_notes": "Early"}, {}, [], [], []),
        (
            {"status": "resolved", "resolution_code": "User error"},
            {},
            ["resolution_code", "status"],
            [],
            [],
        ),
        (
            {"status": "resolved", "resolution_code": "User error"},
            {"status": "in_progress"},
            [],
            [],
            ["status"],
        ),
        ({"status": "in_progress"}, {"status": None}, [], [], ["status"]),
    ],
)
def test_each_side_keeps_what_it_alone_changed(
    here: Values, there: Values, sent: list[str], taken: list[str], asked: list[str]
) -> None:
    verdict = merge({"ours": BASE, "theirs": BASE}, {**BASE, **here}, {**BASE, **there})
    assert sorted(verdict.send) == sent
    assert sorted(verdict.take) == taken
    assert sorted(verdict.conflicts) == asked
