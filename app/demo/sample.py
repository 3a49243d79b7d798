"""Sample tickets: hand-written texts, worked through the real services in the past."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.deps import Services
from app.models.accounts import Role, User
from app.models.tickets import NewTicket, Ticket
from app.simulator import Instance

TEXTS = Path(__file__).resolve().parent / "tickets.csv"
DAYS = 45
# How far a ticket has come, by its age in days: (at least this old, statuses to choose from).
COURSES = (
    (14, ("closed",)),
    (5, ("closed", "closed", "resolved", "resolved", "pending")),
    (1, ("resolved", "in_progress", "in_progress", "pending", "open")),
    (0, ("open", "open", "in_progress")),
)
WAY = {
    "open": (),
    "in_progress": ("in_progress",),
    "pending": ("in_progress", "pending"),
    "resolved": ("in_progress", "resolved"),
    "closed": ("in_progress", "resolved", "closed"),
}
REQUESTERS = (
    "amara.okafor",
    "bruno.silva",
    "chiara.moretti",
    "elif.demir",
    "farid.haddad",
    "greta.lindqvist",
    "hugo.novak",
    "requester",
)
LINKED_SHARE = 0.2
STAMP = "%Y-%m-%d %H:%M:%S"
OUR_OWN_CODE = "Fixed in house"


class PastClock:
    """The time of the services while the sample is made."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


@dataclass(frozen=True, slots=True)
class Desk:
    """Whom the sample works with."""

    services: Services
    instance: Instance
    clock: PastClock
    staff: Sequence[User]


def fill(desk: Desk, *, count: int, now: datetime, seed: int = 7) -> None:
    """Create and work on `count` tickets; one push ends up waiting, one blocked."""
    dice = random.Random(seed)
    with TEXTS.open(encoding="utf-8", newline="") as lines:
        texts = list(csv.DictReader(lines))
    ages = sorted((DAYS * dice.random() ** 1.7 for _ in range(count)), reverse=True)
    for number, age in enumerate(ages):
        if number % len(texts) == 0:
            dice.shuffle(texts)
        _work(desk, dice, texts[number % len(texts)], opened=now - timedelta(days=age), now=now)
    desk.clock.moment = now
    _leave_one_blocked(desk)
    _leave_one_owed(desk)


def _work(
    desk: Desk, dice: random.Random, text: dict[str, str], *, opened: datetime, now: datetime
) -> None:
    age = (now - opened).days
    status = dice.choice(next(choices for days, choices in COURSES if age >= days))
    agent = dice.choice(desk.staff)
    moments = _moments(dice, opened, now, steps=6)
    desk.clock.moment = opened
    requester = f"{dice.choice(REQUESTERS)}@example.com"
    wanted = NewTicket(text["subject"], text["description"], requester)
    ticket, _ = desk.services.tickets.create(wanted, by=agent)
    if status == "open" and dice.random() < 0.6:
        return
    desk.clock.moment = moments[0]
    _take(desk, dice, ticket, text, agent)
    if dice.random() < LINKED_SHARE:
        desk.services.servicenow.push.create_from_ticket(ticket.id, by=agent.email)
    _talk(desk, ticket, text, agent, moments[1:3])
    for moment, step in zip(moments[3:], WAY[status], strict=False):
        desk.clock.moment = moment
        _move(desk, ticket, text, agent, step)
    while desk.services.servicenow.delivery.deliver_due():
        pass  # One look sends the first push of a ticket; the next look the one behind it.
    _backdate(desk, ticket, agent)


def _moments(dice: random.Random, opened: datetime, now: datetime, *, steps: int) -> list[datetime]:
    span = min(now - opened, timedelta(days=dice.choice((0.2, 1, 3, 8))))
    return sorted(opened + span * dice.uniform(0.05, 0.98) for _ in range(steps))


def _take(
    desk: Desk, dice: random.Random, ticket: Ticket, text: dict[str, str], agent: User
) -> None:
    changes: dict[str, str | None] = {"assignee": agent.email}
    if dice.random() < 0.5:
        changes["category"] = text["category"]
    desk.services.tickets.change(ticket.id, changes, by=agent)


def _talk(
    desk: Desk, ticket: Ticket, text: dict[str, str], agent: User, moments: Sequence[datetime]
) -> None:
    said = ((text["internal_note"], True), (text["comment"], False))
    for moment, (body, internal) in zip(moments, said, strict=True):
        if body:
            desk.clock.moment = moment
            desk.services.tickets.add_note(ticket.id, body, internal=internal, by=agent)


def _move(desk: Desk, ticket: Ticket, text: dict[str, str], agent: User, status: str) -> None:
    changes: dict[str, str | None] = {"status": status}
    if status == "resolved":
        changes["resolution_code"] = text["resolution_code"]
        changes["resolution_notes"] = text["resolution_notes"]
    desk.services.tickets.change(ticket.id, changes, by=agent)


def _backdate(desk: Desk, ticket: Ticket, agent: User) -> None:
    """The instance stamps with today's time; the sample happened in the past."""
    found = desk.services.tickets.get(ticket.id, agent)
    record = desk.instance.incidents.get(found.sn_sys_id or "")
    if record:
        opened = found.created_at.strftime(STAMP)
        updated = found.updated_at.strftime(STAMP)
        record |= {"opened_at": opened, "sys_created_on": opened, "sys_updated_on": updated}


def _leave_one_blocked(desk: Desk) -> None:
    """Resolved with a code that the instance does not know: waits for a person's choice."""
    ticket = _linked_one(desk, "The label printer in the warehouse prints blank labels")
    code, notes = OUR_OWN_CODE, "Replaced the print head from our own stock."
    changes = {"status": "resolved", "resolution_code": code, "resolution_notes": notes}
    desk.services.tickets.change(ticket.id, changes, by=desk.staff[0])
    desk.services.servicenow.delivery.deliver_due()


def _leave_one_owed(desk: Desk) -> None:
    """A push that the instance was too busy for: the next try is due in an hour."""
    ticket = _linked_one(desk, "Wi-Fi in meeting room 4 drops every few minutes")
    desk.instance.faults.add("rate_limit", method="PATCH", retry_after=3600)
    desk.services.tickets.change(ticket.id, {"status": "in_progress"}, by=desk.staff[0])
    desk.services.servicenow.delivery.deliver_due()
    desk.instance.faults.clear()


def _linked_one(desk: Desk, subject: str) -> Ticket:
    told = "Reported by phone this morning. Two colleagues see the same."
    wanted = NewTicket(subject, told, "amara.okafor@example.com")
    ticket, _ = desk.services.tickets.create(wanted, by=desk.staff[0])
    desk.services.servicenow.push.create_from_ticket(ticket.id, by=desk.staff[0].email)
    return ticket


def make_people(services: Services, accounts: Sequence[tuple[str, str, Role]]) -> list[User]:
    """The demo's accounts with their passwords; answers those who work on tickets."""
    people = [
        services.accounts.create_user(email, role, password)[0]
        for email, password, role in accounts
    ]
    return [person for person in people if person.role.may_act_as(Role.AGENT)]
