"""Sample incidents: hand-written texts, spread over time and states as on a real instance.

The shares were measured on UCI's "Incident management process enriched event log" (24,918
incidents of a real instance, 2016-17); none of its rows is here.
"""

import csv
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.simulator.base import sys_id_of
from app.simulator.instance import Instance
from app.simulator.store import Record

TEXTS = Path(__file__).resolve().parent / "sample_incidents.csv"
STAMP = "%Y-%m-%d %H:%M:%S"
DAYS = 120
CLOSED_AFTER = timedelta(days=5)

# (impact, urgency) and how often, of 10,000.
IMPACT_URGENCY = {
    ("2", "2"): 9415,
    ("3", "3"): 269,
    ("1", "1"): 108,
    ("2", "1"): 103,
    ("1", "2"): 61,
    ("3", "2"): 30,
    ("2", "3"): 12,
    ("3", "1"): 2,
}
# How often incidents are opened in each hour of a day, of 1,000; and on each day from Monday.
MORNING = (11, 9, 6, 5, 5, 5, 13, 23, 102, 121, 116, 99)
HOURS = (*MORNING, 54, 66, 90, 86, 75, 43, 19, 12, 9, 14, 10, 7)
WEEKDAYS = (239, 199, 196, 165, 154, 26, 23)
# Hours until an incident is resolved: one value for each twentieth of all incidents.
WITHIN_A_DAY = (0.05, 0.1, 0.17, 0.25, 0.42, 0.75, 1.5, 3.6, 8.2, 22.0)
RESOLVED_AFTER = (*WITHIN_A_DAY, 28, 49, 73, 113, 148, 194, 282, 382, 711, 1600)
REASSIGNED = (5437, 2503, 916, 495, 279, 153, 73, 57, 28, 21)
CONTACT = {"phone": 9908, "self-service": 63, "email": 24}
CANCELED_SHARE = 0.012
PLACES = ("Building A", "Building B", "Warehouse", "Head office", "Branch north", "Home office")

GIVEN = ("Amara", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas")
FAMILY = ("Okafor", "Silva", "Moretti", "Ivanov", "Demir", "Haddad", "Lindqvist", "Novak")
TECHNICIANS = ("Priya Raman", "Tomasz Zielinski", "Marta Oliveira", "Kenji Watanabe")
GROUP_OF = {
    "network": "Network",
    "hardware": "Hardware",
    "software": "Software",
    "database": "Database",
    "inquiry": "Service Desk",
}


@dataclass(frozen=True, slots=True)
class Course:
    """When an incident was opened, and how far it has come by now."""

    opened: datetime
    resolved: datetime | None
    closed: datetime | None
    state: str
    updated: datetime


def fill(instance: Instance, *, count: int, now: datetime, seed: int = 7) -> None:
    """Add `count` incidents, opened during the last DAYS; the same seed gives the same ones."""
    dice = random.Random(seed)
    callers, technicians = _people(instance)
    texts = _texts()
    opened = sorted(_opened_at(dice, now) for _ in range(count))
    for number, moment in enumerate(opened):
        if number % len(texts) == 0:
            dice.shuffle(texts)
        text = texts[number % len(texts)]
        course = _course(dice, moment, now)
        caller, technician = dice.choice(callers), dice.choice(technicians)
        fields = _fields(dice, text, course)
        record = instance.add_incident(
            **fields,
            caller_id=caller["sys_id"],
            opened_by=caller["sys_id"],
            sys_created_by=caller["user_name"],
            sys_updated_by=technician["user_name"],
            assigned_to="" if course.state == "1" else technician["sys_id"],
            resolved_by=technician["sys_id"] if course.resolved else "",
        )
        _tell(instance, record, text, course, caller=caller, technician=technician)


def _texts() -> list[dict[str, str]]:
    with TEXTS.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _people(instance: Instance) -> tuple[list[Record], list[Record]]:
    callers = [
        instance.add_user(
            name=f"{given} {family}", email=f"{given}.{family}@example.com".casefold()
        )
        for position, given in enumerate(GIVEN)
        for family in (FAMILY[position % len(FAMILY)], FAMILY[(position + 3) % len(FAMILY)])
    ]
    technicians = [
        instance.add_user(name=name, email=f"{name.replace(' ', '.')}@example.com".casefold())
        for name in TECHNICIANS
    ]
    return callers, technicians


def _opened_at(dice: random.Random, now: datetime) -> datetime:
    days = [now - timedelta(days=back) for back in range(DAYS)]
    day = dice.choices(days, weights=[WEEKDAYS[day.weekday()] for day in days])[0]
    hour = dice.choices(range(24), weights=HOURS)[0]
    moment = day.replace(hour=hour, minute=dice.randrange(60), second=dice.randrange(60))
    moment = moment.replace(microsecond=0)
    return moment if moment < now else moment - timedelta(days=7)


def _course(dice: random.Random, opened: datetime, now: datetime) -> Course:
    hours = dice.choice(RESOLVED_AFTER) * dice.uniform(0.7, 1.3)
    resolved = opened + timedelta(hours=hours)
    if dice.random() < CANCELED_SHARE:
        return Course(opened, None, None, "8", min(resolved, now))
    if resolved > now:
        passed = now - opened
        state = "1" if passed < timedelta(hours=1) else dice.choice("12223")
        return Course(opened, None, None, state, opened + passed * dice.uniform(0.2, 0.9))
    closed = resolved + CLOSED_AFTER + timedelta(minutes=dice.randrange(57))
    if closed > now:
        return Course(opened, resolved, None, "6", resolved)
    return Course(opened, resolved, closed, "7", closed)


def _fields(dice: random.Random, text: dict[str, str], course: Course) -> dict[str, str]:
    impact, urgency = dice.choices(list(IMPACT_URGENCY), weights=list(IMPACT_URGENCY.values()))[0]
    group = GROUP_OF[text["category"]]
    ended = course.resolved is not None
    return {
        "short_description": text["short_description"],
        "description": f"{text['description']}\n\nPlace: {dice.choice(PLACES)}",
        "category": text["category"],
        "impact": impact,
        "urgency": urgency,
        "contact_type": dice.choices(list(CONTACT), weights=list(CONTACT.values()))[0],
        "reassignment_count": str(dice.choices(range(len(REASSIGNED)), weights=REASSIGNED)[0]),
        "assignment_group": sys_id_of("sys_user_group", group),
        "state": course.state,
        "active": "false" if course.state in ("7", "8") else "true",
        "hold_reason": "1" if course.state == "3" else "",
        "close_code": text["close_code"] if ended else "",
        "close_notes": text["close_notes"] if ended else "",
        "opened_at": course.opened.strftime(STAMP),
        "sys_created_on": course.opened.strftime(STAMP),
        "resolved_at": course.resolved.strftime(STAMP) if course.resolved else "",
        "closed_at": course.closed.strftime(STAMP) if course.closed else "",
        "sys_updated_on": course.updated.strftime(STAMP),
        "sys_mod_count": str(dice.randrange(1, 9)),
    }


def _tell(
    instance: Instance,
    record: Record,
    text: dict[str, str],
    course: Course,
    *,
    caller: Record,
    technician: Record,
) -> None:
    """The caller's comment and the technician's work note, between opening and last change."""
    passed = course.updated - course.opened
    said = (
        ("comments", text["comment"], caller, 0.3),
        ("work_notes", text["work_note"], technician, 0.7),
    )
    for element, value, author, share in said:
        if value and course.state != "1":
            at = (course.opened + passed * share).strftime(STAMP)
            instance.add_journal_entry(
                record["sys_id"], element, value, by=author["user_name"], at=at
            )
