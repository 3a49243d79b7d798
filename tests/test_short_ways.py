"""How far a push goes: the transactions, statements and files of a create and an update."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from fastapi import FastAPI
from sqlalchemy import Engine, event

from app.models.servicenow import PushState
from app.services.servicenow import ServiceNowService
from app.simulator import Instance
from tests.both_sides import BothSides
from tests.desk import Desk

APP = str(Path(__file__).parents[1] / "app")


@dataclass
class Way:
    """What one call has used."""

    transactions: int = 0
    statements: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def within(self, *, transactions: int, statements: int, files: int) -> bool:
        """Whether it is no longer than this."""
        return (
            self.transactions <= transactions
            and len(self.statements) <= statements
            and len(self.files) <= files
        )

    def __str__(self) -> str:
        return (
            f"{self.transactions} transactions, {len(self.statements)} statements, "
            f"{len(self.files)} files"
        )


@contextmanager
def counted(engine: Engine) -> Iterator[Way]:
    """Count what this thread does; BEGIN is no statement."""
    way = Way()

    def begin(*_: object) -> None:
        way.transactions += 1

    def execute(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            way.statements.append(statement)

    def enter(frame: FrameType, what: str, _arg: object) -> None:
        name = frame.f_code.co_filename
        if what == "call" and name.startswith(APP):
            way.files.add(name.removeprefix(APP))

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", execute)
    sys.setprofile(enter)
    try:
        yield way
    finally:
        sys.setprofile(None)
        event.remove(engine, "begin", begin)
        event.remove(engine, "before_cursor_execute", execute)


def test_a_create_is_short(app: FastAPI, instance: Instance, desk: Desk) -> None:
    service: ServiceNowService = app.state.services.servicenow
    # The first create learns what the instance keeps.
    service.push.create_from_ticket(desk.ticket().id, by=desk.user.email)
    ticket = desk.ticket(requester="abel.tuter@example.com", category="network")
    with counted(app.state.engine) as way:
        status = service.push.create_from_ticket(ticket.id, by=desk.user.email)
    sys.stdout.write(f"create: {way}\n")
    assert status.state is PushState.LINKED
    assert len(instance.incidents) == 2
    assert way.within(transactions=6, statements=30, files=52)


def test_an_update_is_short(app: FastAPI, instance: Instance, desk: Desk) -> None:
    both = BothSides(desk, instance)
    both.here(subject="Mail is down again")
    (item,) = both.service.push.status(both.id).items
    with counted(app.state.engine) as way:
        both.service.delivery.deliver(item.id)
    sys.stdout.write(f"update: {way}\n")
    assert both.incident["short_description"] == "Mail is down again"
    assert way.within(transactions=4, statements=20, files=43)
