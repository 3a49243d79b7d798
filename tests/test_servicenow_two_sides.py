"""Two people edit one thing at random, here and there; a model says what may come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.simulator.base import sys_id_of
from tests.both_sides import HARDWARE, NETWORK, BothSides
from tests.desk import Desk

# Per field: the values of ours, and how the same is written there.
VALUES: dict[str, dict[str, dict[str, str]]] = {
    "subject": {text: {"short_description": text} for text in ("One", "Two", "Three")},
    "status": {"open": {"state": "1"}, "in_progress": {"state": "2"}, "pending": {"state": "3"}},
    "priority": {
        "urgent": {"impact": "1", "urgency": "1"},
        "medium": {"impact": "2", "urgency": "2"},
        "low": {"impact": "3", "urgency": "2"},
    },
    "category": {name: {"category": name} for name in ("network", "hardware", "software")},
    "assignee": {
        "desk@example.com": {"assigned_to": sys_id_of("sys_user", "desk")},
        "admin@example.com": {"assigned_to": sys_id_of("sys_user", "admin")},
    },
    "assignment_group": {
        HARDWARE: {"assignment_group": HARDWARE},
        NETWORK: {"assignment_group": NETWORK},
    },
}
WHERE = st.sampled_from(["here", "there", "everywhere"])


def edits(names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, str, str]]:
    """Edits of a few fields only, so that they meet; "everywhere" differs on the two sides."""
    return st.one_of(
        [st.tuples(WHERE, st.just(name), st.sampled_from(list(VALUES[name]))) for name in names]
    )


LOOKS = st.tuples(st.sampled_from(["pull", "push"]), st.just(""), st.just(""))
CHOICES = st.tuples(st.just("choose"), st.sampled_from(["ours", "theirs"]), st.just(""))
NAMES = st.sets(st.sampled_from(list(VALUES)), min_size=1, max_size=2)
STEPS = NAMES.flatmap(
    lambda names: st.lists(
        st.one_of(edits(tuple(sorted(names))), LOOKS, CHOICES), min_size=4, max_size=12
    )
)


@dataclass
class Model:
    """What each side says and what they agreed on; a choice is the only way to lose a value."""

    agreed: dict[str, str | None]
    ours: dict[str, str | None] = field(default_factory=dict)
    theirs: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ours, self.theirs = dict(self.agreed), dict(self.agreed)

    @property
    def torn(self) -> set[str]:
        return {
            name
            for name, base in self.agreed.items()
            if base not in (self.ours[name], self.theirs[name])
            and self.ours[name] != self.theirs[name]
        }

    def look(self, *, push: bool) -> None:
        """Each side takes what the other alone changed; ours goes only with a push."""
        for name in set(self.agreed) - self.torn:
            if self.theirs[name] != self.agreed[name]:
                self.ours[name] = self.theirs[name]
            elif push:
                self.theirs[name] = self.ours[name]
            if self.ours[name] == self.theirs[name]:
                self.agreed[name] = self.ours[name]

    def choose(self, side: str) -> None:
        for name in self.torn:
            if side == "ours":
                self.agreed[name] = self.theirs[name]
            else:
                self.ours[name] = self.agreed[name] = self.theirs[name]
        self.look(push=True)


def values_there(both: BothSides) -> dict[str, str | None]:
    """The incident in our words, read from the instance itself."""
    incident = both.incident
    return {
        name: next(
            (ours for ours, theirs in values.items() if theirs.items() <= incident.items()), None
        )
        for name, values in VALUES.items()
    }


def values_here(both: BothSides) -> dict[str, str | None]:
    return {name: getattr(both.ticket, name) for name in VALUES}


@pytest.fixture
def another(desk: Desk, both: BothSides, app: FastAPI) -> Callable[[], BothSides]:
    """Each time a new ticket with its incident, on the same desk."""
    both.instance.add_user(name="Ada Admin", email="admin@example.com")

    def made() -> BothSides:
        fresh = BothSides(desk, both.instance)
        fresh.here(subject="One", priority="medium", assignee="desk@example.com")
        fresh.service.push.sync(fresh.id, by="desk@example.com")
        return fresh

    return made


@pytest.mark.slow
@settings(
    max_examples=30,
    deadline=None,
    # A failure names its steps; to shorten them takes minutes against a real instance.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_whatever_two_people_do_nothing_is_lost_but_by_a_choice(
    another: Callable[[], BothSides], steps: list[tuple[str, str, str]]
) -> None:
    both = another()
    model = Model(values_here(both))
    asked: set[str] = set()
    for what, name, value in steps:
        if name in VALUES:
            others = list(VALUES[name])
            there = others[others.index(value) - 1] if what == "everywhere" else value
            if what != "there":
                both.here(**{name: value})
                model.ours[name] = value
            if what != "here":
                both.there(**VALUES[name][there])
                model.theirs[name] = there
        elif what == "choose":
            if not asked or asked != model.torn:
                continue
            both.service.conflicts.resolve(both.id, dict.fromkeys(asked, name), by="x@example.com")
            model.choose(name)
            asked = set()
        else:
            look(both, push=what == "push")
            model.look(push=what == "push")
            asked = set(model.torn)
            assert {one.name for one in both.service.conflicts.of(both.id).conflicts} == asked
        assert values_here(both) == model.ours
        assert values_there(both) == model.theirs
    look(both, push=True)
    model.look(push=True)
    assert (values_here(both), values_there(both)) == (model.ours, model.theirs)


def look(both: BothSides, *, push: bool) -> None:
    if push:
        both.service.push.sync(both.id, by="desk@example.com")
    else:
        both.service.incoming.ask()
        both.service.incoming.run_due()
