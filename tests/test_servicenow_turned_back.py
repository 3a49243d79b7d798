"""An incident that went back in time: a backup was restored there, or it was created again."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import links
from app.db.engine import writing
from app.integrations.servicenow.mapping import Maps
from app.models.servicenow import PushState
from app.models.sync_runs import RunState
from app.services.servicenow.pull.apply_changes import ChangeApplier
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.conftest import Clock
from tests.ticking import tick

EARLIER = "went back to an earlier version in ServiceNow"
ENDED = {
    "status": "resolved",
    "resolution_code": "Solution provided",
    "resolution_notes": "New cable",
}


def backup(instance: Instance) -> dict[str, Any]:
    return copy.deepcopy(instance.saved())


def sweep(both: BothSides, clock: Clock) -> None:
    """A day later, when everything known is read again."""
    clock.forward(hours=25)
    both.service.incoming.ask()
    both.service.incoming.run_due()


def sync(both: BothSides) -> None:
    both.service.push.sync(both.id, by="desk@example.com")


def pull_run(both: BothSides, clock: Clock) -> None:
    """An import reads it first; the next incoming changes look again."""
    run = both.service.imports.start(import_tickets=True, by="admin@example.com")
    both.service.imports.run_due()
    assert both.service.imports.get(run.id).state is RunState.DONE
    both.service.incoming.run_due()


@pytest.mark.parametrize("look", [sweep, pull_run])
def test_what_a_restored_backup_says_is_taken_over_and_told_once(
    both: BothSides, clock: Clock, look: Callable[[BothSides, Clock], None]
) -> None:
    before = backup(both.instance)
    both.here(subject="Changed twice")
    sync(both)
    both.there(short_description="Changed there too")
    sweep(both, clock)
    assert both.ticket.subject == "Changed there too"
    both.instance.restore(copy.deepcopy(before))
    look(both, clock)
    assert both.ticket.subject == "Mail is down"
    assert both.told().count(EARLIER) == 1
    sweep(both, clock)
    assert both.told().count(EARLIER) == 1
    both.there(short_description="And on it goes")
    sweep(both, clock)
    assert both.ticket.subject == "And on it goes"


def test_a_restored_backup_that_says_the_same_is_no_news(both: BothSides, clock: Clock) -> None:
    before = backup(both.instance)
    both.here(subject="Changed twice")
    sync(both)
    both.here(subject="Mail is down")
    sync(both)
    both.instance.restore(before)
    writes = both.patches()
    sweep(both, clock)
    assert EARLIER not in both.told()
    both.there(state="2")
    sweep(both, clock)
    assert (both.ticket.status, both.patches()) == ("in_progress", writes)


def test_a_ticket_resolved_here_meets_the_restored_incident_as_a_conflict(
    both: BothSides, clock: Clock
) -> None:
    before = backup(both.instance)
    both.here(status="in_progress")
    sync(both)
    both.instance.restore(before)
    both.here(**ENDED)
    sync(both)
    status = both.service.push.status(both.id)
    assert (status.state, both.incident["state"]) == (PushState.BLOCKED, "1")
    assert [one.name for one in both.service.conflicts.of(both.id).conflicts] == ["status"]
    assert both.told().count(EARLIER) == 1
    both.service.conflicts.resolve(both.id, {"status": "ours"}, by="desk@example.com")
    assert both.incident["state"] == "6"
    assert both.service.push.status(both.id).state is PushState.LINKED


def test_a_push_reaches_a_restored_incident_whose_field_is_as_agreed(
    both: BothSides, clock: Clock
) -> None:
    for word in ("One", "Two", "Three"):
        both.here(subject=word)
        sync(both)
    before = backup(both.instance)
    both.here(subject="Four")
    sync(both)
    both.there(category="database")
    both.there(category="network")
    sync(both)
    both.instance.restore(before)
    both.here(**ENDED)
    sync(both)
    assert (both.incident["state"], both.ticket.subject) == ("6", "Three")
    assert both.told().count(EARLIER) == 1
    writes = both.patches()
    sweep(both, clock)
    assert both.patches() == writes


def test_a_record_that_another_account_created_again_is_compared(
    both: BothSides, clock: Clock
) -> None:
    both.here(status="in_progress")
    sync(both)
    kept = dict(both.incident)
    both.instance.delete(both.sys_id)
    both.instance.add_incident(
        **kept
        | {"short_description": "Made by a copy", "sys_mod_count": "0", "sys_updated_by": "clone"}
    )
    sweep(both, clock)
    assert both.ticket.subject == "Made by a copy"
    assert EARLIER in both.told()


def test_a_row_that_was_read_before_a_push_and_stored_after_it_changes_nothing(
    both: BothSides, engine: Engine, clock: Clock
) -> None:
    read_before = dict(both.incident)
    both.here(subject="Sent meanwhile")
    sync(both)
    host = both.ticket.sn_host or ""
    with writing(engine) as conn:
        us = links.installation_id(conn)
        arrival = ChangeApplier(conn, host, us, Maps.of(None), pulling=True, now=clock())
        arrival.store([read_before], [])
    assert both.ticket.subject == "Sent meanwhile"
    tick(both.service)
    assert (both.incident["short_description"], EARLIER in both.told()) == ("Sent meanwhile", False)
