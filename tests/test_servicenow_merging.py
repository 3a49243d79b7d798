"""The three-way merge by itself: nothing overwritten, nothing sent twice, an end to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.servicenow.mapping import (
    Merge,
    agreed_at_first,
    agreed_when_found,
    merge,
    recognised,
    same,
)
from app.integrations.servicenow.mapping.to_incident import short_description
from app.models.conflicts import CLEARABLE, RESOLUTION, SYNCED, Agreed, Values
from app.models.tickets import Priority, TicketStatus

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


# -- a first look at an incident that was there before, or is found again --------------------------


@pytest.mark.parametrize(
    ("theirs", "record", "agreed"),
    [
        ({"category": "network"}, {"category": "network"}, True),
        ({"category": "hardware"}, {"category": "hardware"}, False),
        ({}, {}, True),
        ({"category": None}, {"category": "inquiry"}, True),
        ({"category": None}, {"category": ""}, False),
        ({"category": None}, {}, False),
    ],
)
def test_a_new_link_leaves_alone_what_is_alike_hidden_or_not_mapped(
    theirs: Values, record: dict[str, str], agreed: bool
) -> None:
    ours = {**BASE, "category": "network"}
    shown = {name: value for name, value in BASE.items() if name != "category"}
    expected = set(SYNCED) - (set() if agreed else {"category"})
    assert set(agreed_at_first(ours, {**shown, **theirs}, record)) == expected


def test_a_new_link_compares_each_field_in_its_own_letters() -> None:
    ours = {**BASE, "assignee": "Beth@Example.com"}
    there = {**BASE, "assignee": "beth@example.com"}
    assert "assignee" in agreed_at_first(ours, there, {})


SENT = {"ours": {}, "sent": {"priority": "high"}, "theirs": {"priority": "high"}}


@pytest.mark.parametrize(
    ("there", "earlier", "untouched", "ours", "base"),
    [
        ("high", {}, False, "high", "high"),  # as it was sent
        ("low", {}, False, "high", "high"),  # a person changed it: theirs is taken
        ("low", {}, True, "high", "low"),  # a rule changed it: that is how it is there
        ("low", {"priority": "low"}, False, "low", "low"),  # what an earlier try sent
        ("low", {"priority": "medium"}, False, "high", "high"),
        ("low", {"status": "open"}, False, "high", "high"),
    ],
)
def test_an_incident_found_again_is_compared_with_what_was_sent(
    there: str, earlier: Values, untouched: bool, ours: str, base: str
) -> None:
    found = agreed_when_found(
        {**SENT, "earlier": earlier}, {"priority": there}, untouched=untouched
    )
    assert found == ({"priority": ours}, {"priority": base})


def test_each_field_of_an_incident_found_again_is_compared_by_itself() -> None:
    sent = {"subject": "Mail", "priority": "high", "category": "network"}
    there = {"subject": "Mail", "category": "hardware"}
    found = agreed_when_found({"sent": sent, "theirs": sent}, there, untouched=False)
    assert found == (sent, {"subject": "Mail", "category": "network"})


def test_a_field_that_an_incident_found_again_hides_is_left_out() -> None:
    assert agreed_when_found(SENT, {}, untouched=False) == ({"priority": "high"}, {})
    assert agreed_when_found({}, {"priority": "low"}, untouched=False) == ({}, {"priority": "low"})


@pytest.mark.parametrize(
    ("theirs", "ours_after", "theirs_after"),
    [
        ({"subject": "New"}, "New", "New"),  # ours came back
        ({"subject": "Other"}, "Old", "Old"),  # somebody else's
        ({"subject": "Old"}, "Old", "Old"),  # it has not arrived
        ({}, "Old", "Old"),
    ],
)
def test_a_write_whose_answer_was_lost_is_recognised_by_what_it_wrote(
    theirs: Values, ours_after: str, theirs_after: str
) -> None:
    before = {
        "ours": {"subject": "Old", "category": "network"},
        "theirs": {"subject": "Old", "category": "network"},
        "sent": {"subject": "New"},
        "seen": {"sys_mod_count": "3"},
    }
    assert recognised(before, theirs) == {
        "ours": {"subject": ours_after, "category": "network"},
        "theirs": {"subject": theirs_after, "category": "network"},
        "seen": {"sys_mod_count": "3"},
    }
    assert recognised({}, theirs) == {"ours": {}, "theirs": {}, "seen": {}}


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "alike"),
    [
        ("resolution_notes", "[code]x[/code]", "[code]x[/code]", False),
        ("subject", "word " * 40, short_description("word " * 40), True),
        ("subject", "word " * 40, "word " * 40, False),
        ("assignee", "Beth@Example.com", "beth@example.com", True),
        ("assignee", None, "", True),
        ("assignee", None, "beth@example.com", False),
        ("resolution_code", "user ERROR", "User error", True),
        ("category", "Network", "network", False),
        ("category", None, "", False),
        ("subject", None, None, True),
        ("resolution_notes", None, None, True),
    ],
)
def test_what_is_alike_is_so_in_each_sides_letters(
    name: str, ours: str | None, theirs: str | None, alike: bool
) -> None:
    assert same(name, ours, theirs) is alike


def test_the_resolution_follows_the_status() -> None:
    ended = {"status": "resolved", "resolution_code": "User error", "resolution_notes": "Cable"}
    taken = merge({"ours": BASE, "theirs": BASE}, BASE, {**BASE, **ended})
    assert dict(taken.take) == ended

    early = {**BASE, "resolution_code": "Duplicate", "resolution_notes": "Early"}
    verdict = merge({"ours": BASE, "theirs": BASE}, early, BASE)
    assert verdict == Merge((), {}, (), ())
    verdict = merge({"ours": BASE, "theirs": BASE}, early, {**BASE, "resolution_notes": "Other"})
    assert verdict.conflicts == ()

    verdict = merge({"ours": BASE, "theirs": BASE}, early, {**BASE, **ended})
    assert set(verdict.conflicts) == {"resolution_code", "resolution_notes"}
    assert dict(verdict.take) == {"status": "resolved"}

    reopened = {**BASE, "status": "pending"}
    verdict = merge({"ours": BASE, "theirs": BASE}, {**early, **reopened}, {**BASE, **ended})
    assert verdict == Merge((), {}, ("status",), ())


def test_what_both_sides_say_alike_is_settled() -> None:
    ours = {**BASE, "priority": "high", "assignee": "Beth@Example.com", "category": "network"}
    theirs = {**BASE, "priority": "high", "assignee": "beth@example.com"}
    verdict = merge({"ours": BASE, "theirs": BASE}, ours, theirs)
    assert (set(verdict.settled), verdict.send) == ({"priority", "assignee"}, ("category",))
    verdict = merge({"ours": ours, "theirs": {**theirs, "assignee": None}}, ours, theirs)
    assert verdict == Merge((), {}, (), ("assignee",))


@pytest.mark.parametrize(
    ("ours", "theirs", "taken", "settled"),
    [
        ("high", {"priority": None}, {}, ()),
        ("high", {}, {}, ()),
        (None, {"priority": "high"}, {}, ("priority",)),
        (None, {"priority": "low"}, {"priority": "low"}, ()),
        (None, {"priority": None}, {}, ("priority",)),
        (None, {}, {}, ("priority",)),
    ],
)
def test_a_priority_that_one_side_does_not_say_never_empties_the_other(
    ours: str | None, theirs: Values, taken: Values, settled: tuple[str, ...]
) -> None:
    agreed = {**BASE, "priority": "high"}
    shown = {name: value for name, value in BASE.items() if name != "priority"}
    verdict = merge(
        {"ours": agreed, "theirs": agreed}, {**BASE, "priority": ours}, {**shown, **theirs}
    )
    assert verdict == Merge((), taken, (), settled)


def test_only_what_was_not_there_before_a_write_is_ours_coming_back() -> None:
    sent = {"subject": "New", "assignee": "Beth@Example.com"}
    before = {"ours": {"subject": "Old"}, "theirs": {"subject": "New"}, "sent": sent}
    found = recognised(before, {"subject": "New", "assignee": "beth@example.com"})
    assert found["ours"] == {"subject": "Old", "assignee": "Beth@Example.com"}
