"""A desk and an instance that outlive the app between them, which may die at any step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from sqlalchemy import Engine, select

from app.db import outbox_list, tickets
from app.db.engine import make_engine, reading
from app.db.tables import outbox as outbox_table
from app.integrations.servicenow.mapping import STATE_OF_STATUS
from app.models.accounts import Role, User
from app.models.servicenow import OutboxItem, OutboxState, PushStatus
from app.models.servicenow_pages import OutboxFilter
from app.models.tickets import NewTicket, Priority, TicketEvent, TicketStatus
from app.settings import Settings
from app.simulator import Instance, RunningSimulator
from app.wiring import make_services
from tests.conftest import Clock, servicenow_settings
from tests.ticking import tick

BY = "agent@example.com"
ENDING = {"resolution_code": "Solution provided", "resolution_notes": "New cable"}
JOURNAL = {True: "work_notes", False: "comments"}


# An instance gives a request up after 60 s; SN_SETTLE_SECONDS is longer than that.
ARRIVES_WITHIN = 60


class Killed(BaseException):
    """The process is gone: nothing catches this, and nothing after it happens."""


class Fuse:
    """Counts the steps of one process and kills it at the one it was set to."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self._left: int | None = None

    def burn_at(self, step: int | None) -> None:
        """Die at this step, counted from now; the first is 0. None: live on."""
        self._left = step

    def step(self, where: str) -> None:
        self.passed.append(where)
        if self._left is None:
            return
        if self._left <= 0:
            raise Killed(where)
        self._left -= 1


class FusedTransport(httpx.BaseTransport):
    """Three steps around each exchange; a request whose sender died in the second is under way."""

    def __init__(self, fuse: Fuse, under_way: list[httpx.Request]) -> None:
        self._fuse = fuse
        self._under_way = under_way
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path}"
        self._fuse.step(f"before {call}")
        try:
            self._fuse.step(f"during {call}")
        except Killed:
            self._under_way.append(request)
            raise
        answer = self._inner.handle_request(request)
        try:
            self._fuse.step(f"after {call}")
        except Killed:
            answer.close()
            raise
        return answer

    def close(self) -> None:
        self._inner.close()


def fuse_commits(engine: Engine, fuse: Fuse) -> None:
    commit = engine.dialect.do_commit

    def fused(dbapi: Any) -> None:
        fuse.step("before a commit")
        commit(dbapi)
        fuse.step("after a commit")

    engine.dialect.do_commit = fused  # type: ignore[method-assign,assignment]


def no_triage() -> Any:
    raise LookupError("no triage in here")


@dataclass
class World:
    """What a person sees and does; `start` is a new process on the same database."""

    settings: Settings
    instance: Instance
    clock: Clock
    user: User = field(init=False)
    under_way: list[httpx.Request] = field(default_factory=list)
    on_the_way: float = 0

    def __post_init__(self) -> None:
        self.start()
        self.user = self.services.accounts.create_user(BY, Role.AGENT)[0]

    # -- life and death ---------------------------------------------------------------------

    def start(self) -> None:
        self.fuse = Fuse()
        self.engine = make_engine(self.settings.database_url)
        self.services = make_services(
            self.settings,
            self.engine,
            wake=lambda: None,
            load_triage=no_triage,
            now=self.clock,
            transport=FusedTransport(self.fuse, self.under_way),
        )
        fuse_commits(self.engine, self.fuse)
        if self.engine.dialect.name == "sqlite":
            self.services.servicenow.recover()
        self.services.servicenow.held_creates.begin()

    def stop(self) -> None:
        self.services.servicenow.close()
        self.engine.dispose()

    def until_killed(self, act: Callable[[], object]) -> str:
        """Do it; if the process dies of it, start a new one. Where it died, or ""."""
        try:
            act()
        except Killed as killed:
            self.stop()
            self.start()
            return str(killed)
        return ""

    def arrive(self) -> None:
        """What a dead process had sent reaches the instance only now."""
        with httpx.HTTPTransport() as network:
            while self.under_way:
                network.handle_request(self.under_way.pop(0)).read()

    def wait(self, seconds: float) -> None:
        """Time passes. A request arrives within ARRIVES_WITHIN of being sent, or never."""
        self.on_the_way = self.on_the_way + seconds if self.under_way else 0
        if self.on_the_way > ARRIVES_WITHIN:
            self.arrive()
        self.clock.forward(seconds=seconds)

    def come_to_rest(self) -> None:
        """The trouble is over, hours pass, and a person retries what is blocked."""
        self.fuse.burn_at(None)
        self.tick()
        self.wait(20)
        self.arrive()
        self.instance.faults.clear()
        for _ in range(8):
            self.clock.forward(minutes=20)
            self.tick()
            owed = self.waiting()
            if not owed:
                return
            for item in owed:
                if item.state is OutboxState.BLOCKED:
                    self.services.servicenow.outbox.retry(item.id, by=BY)

    def tick(self) -> None:
        tick(self.services.servicenow)

    # -- what a person does -----------------------------------------------------------------

    def open_ticket(
        self, subject: str = "The printer is on fire", description: str = "It smells"
    ) -> int:
        wanted = NewTicket(subject, description, "abel.tuter@example.com", Priority.LOW, "network")
        return self.services.tickets.create(wanted, by=self.user)[0].id

    def create(self, ticket_id: int) -> PushStatus:
        return self.services.servicenow.push.create_from_ticket(ticket_id, by=BY)

    def change(self, ticket_id: int, status: TicketStatus) -> None:
        ending = ENDING if status.ended else {}
        self.services.tickets.change(ticket_id, {"status": status, **ending}, by=self.user)

    def note(self, ticket_id: int, text: str, *, internal: bool) -> None:
        self.services.tickets.add_note(ticket_id, text, internal=internal, by=self.user, push=True)

    def sync(self, ticket_id: int) -> None:
        if self.status(ticket_id).linked:
            self.services.servicenow.push.sync(ticket_id, by=BY)

    # -- what there is ----------------------------------------------------------------------

    def status(self, ticket_id: int) -> PushStatus:
        return self.services.servicenow.push.status(ticket_id)

    def timeline(self, ticket_id: int) -> tuple[TicketEvent, ...]:
        return self.services.tickets.detail(ticket_id, self.user).events

    def waiting(self) -> tuple[OutboxItem, ...]:
        with reading(self.engine) as conn:
            return outbox_list.page(conn, OutboxFilter(state="waiting"), limit=100, offset=0)

    def incidents_of(self, ticket_id: int) -> list[dict[str, str]]:
        """Those that carry a key of the ticket."""
        query = select(outbox_table.c.correlation_id).where(outbox_table.c.ticket_id == ticket_id)
        with reading(self.engine) as conn:
            keys = set(conn.execute(query).scalars())
        return [row for row in self.instance.incidents.values() if row["correlation_id"] in keys]

    def notes_of(self, sys_id: str) -> list[tuple[str, str]]:
        """(journal, first line) of each entry but the one that tells of the ticket."""
        entries = [
            (row["element"], row["value"].splitlines()[0]) for row in self.instance.journal(sys_id)
        ]
        return [entry for entry in entries if not entry[1].startswith("Copilot Ticket ID")]


@contextmanager
def a_world(
    database_url: str,
    *,
    clock: Clock | None = None,
    instance: Instance | None = None,
    timeout_seconds: float = 5,
) -> Iterator[World]:
    """The app and its instance; the late writes of one made here come with the app's clock."""
    clock = clock or Clock()
    instance = instance or Instance(monotonic=lambda: clock.moment.timestamp())
    with RunningSimulator(instance) as running:
        # A drip lasts as long as it may; a small cap is reached sooner.
        servicenow = replace(
            servicenow_settings(running.url), timeout_seconds=timeout_seconds, max_answer_mb=1
        )
        settings = Settings(
            servicenow=servicenow,
            database_url=database_url,
            secret_key="a secret key for tests only",
        )
        made = World(settings, instance, clock)
        yield made
        made.stop()


def check_in_step(world: World, ticket_id: int) -> dict[str, str]:
    """One incident, linked; its state the ticket's; answers the incident."""
    (incident,) = world.incidents_of(ticket_id)
    with reading(world.engine) as conn:
        ticket = tickets.get(conn, ticket_id)
    assert ticket.sn_sys_id == incident["sys_id"]
    assert ticket.sn_number == incident["number"]
    assert incident["state"] == STATE_OF_STATUS[ticket.status]
    return incident


def check_exactly_once(world: World, ticket_id: int, notes: Sequence[tuple[str, str]]) -> None:
    """In step, each note there once, and nothing owed."""
    incident = check_in_step(world, ticket_id)
    assert sorted(world.notes_of(incident["sys_id"])) == sorted(notes)
    assert not world.waiting()
