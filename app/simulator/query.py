"""Encoded queries as an instance reads them: what it cannot read, it drops."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

Record = dict[str, str]
Lookup = Callable[[Record, str], str | None]
OPERATORS = (
    "ISNOTEMPTY",
    "STARTSWITH",
    "NOT LIKE",
    "ENDSWITH",
    "CONTAINS",
    "ISEMPTY",
    "BETWEEN",
    "NOT IN",
    "LIKE",
    "!=",
    "<=",
    ">=",
    "IN",
    "=",
    "<",
    ">",
)
CONDITION = re.compile(rf"([a-zA-Z0-9_.]+?)({'|'.join(OPERATORS)})(.*)", re.DOTALL)
STAMP = "%Y-%m-%d %H:%M:%S"
CALL = re.compile(r"javascript:\s*gs\.(\w+)\(([^)]*)\)\s*;?$")


@dataclass(slots=True)
class Condition:
    name: str
    operator: str
    value: str


@dataclass(slots=True)
class ParsedQuery:
    """Groups are joined by OR; a group is ANDed clauses; a clause is ORed conditions."""

    groups: list[list[list[Condition]]] = field(default_factory=lambda: [[]])
    orders: list[tuple[str, bool]] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)


def split(text: str) -> list[str]:
    """Terms between single carets; `^^` is a caret inside a value."""
    return [part.replace("\x00", "^") for part in text.replace("^^", "\x00").split("^")]


def parse(
    text: str, *, known: Callable[[str], bool], caller: Record, literal_times: str = "utc"
) -> ParsedQuery:
    """Read a query for a table whose fields `known` knows; literal times are UTC or the user's."""
    query = ParsedQuery()
    for raw in split(text):
        term = raw
        if not term or term == "EQ":
            continue
        if term.startswith("ORDERBY"):
            name = term.removeprefix("ORDERBYDESC" if term.startswith("ORDERBYDESC") else "ORDERBY")
            if known(name):
                query.orders.append((name, term.startswith("ORDERBYDESC")))
            else:
                query.invalid.append(name)
            continue
        joined = term.startswith("OR")
        if term.startswith("NQ"):
            query.groups.append([])
            term = term[2:]
        elif joined:
            term = term[2:]
        condition = _condition(term, known=known, caller=caller)
        if condition and literal_times == "user":
            condition.value = _of_zone(condition.value, caller)
        if condition is None:
            query.invalid.append(term)
        elif joined and query.groups[-1]:
            query.groups[-1][-1].append(condition)
        else:
            query.groups[-1].append([condition])
    return query


def _condition(term: str, *, known: Callable[[str], bool], caller: Record) -> Condition | None:
    found = CONDITION.fullmatch(term)
    if not found or not known(found[1]):
        return None
    value = found[3]
    if value.startswith("javascript:"):
        evaluated = evaluate(value, caller=caller)
        if evaluated is None:
            return None
        value = evaluated
    return Condition(found[1], found[2], value)


def _of_zone(value: str, caller: Record) -> str:
    """A literal time of the caller's zone in UTC; anything else as it is."""
    try:
        moment = datetime.strptime(value, STAMP).replace(tzinfo=ZoneInfo(caller["time_zone"]))
    except ValueError:
        return value
    return moment.astimezone(UTC).strftime(STAMP)


def evaluate(text: str, *, caller: Record) -> str | None:
    """The few functions of the sandbox, in the caller's time zone; None when unknown."""
    found = CALL.match(text)
    if not found:
        return None
    name, arguments = found[1], [part.strip(" '\"") for part in found[2].split(",")]
    zone = ZoneInfo(caller.get("time_zone") or "UTC")
    now = datetime.now(zone)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "getUserID":
        return caller.get("sys_id", "")
    try:
        moment = _moment(name, arguments, now=now, midnight=midnight, zone=zone)
    except ValueError:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else None


def _moment(
    name: str, arguments: list[str], *, now: datetime, midnight: datetime, zone: ZoneInfo
) -> datetime | None:
    if name == "beginningOfToday":
        return midnight
    if name == "dateGenerate":
        text = f"{arguments[0]} {arguments[1]}"
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
    found = re.fullmatch(r"(days|hours|minutes)Ago(Start|End)?", name)
    if not found:
        return None
    amount = int(arguments[0])
    if found[1] == "days":
        day = midnight - timedelta(days=amount)
        return day + timedelta(hours=24, seconds=-1) if found[2] == "End" else day
    moment = now - timedelta(**{found[1]: amount})
    whole = moment.replace(second=0, microsecond=0)
    return moment if found[2] is None else whole


def matches(query: ParsedQuery, record: Record, lookup: Lookup) -> bool:
    """True when a record satisfies one of the groups."""
    return any(
        all(any(_holds(one, record, lookup) for one in clause) for clause in group)
        for group in query.groups
    )


# Each test is given the raw value, what people read, and the wanted text, all without case.
TESTS: dict[str, Callable[[str, str, str], bool]] = {
    "=": lambda ours, _, wanted: ours == wanted,
    "!=": lambda ours, _, wanted: ours != wanted,
    "<": lambda ours, _, wanted: ours < wanted,
    "<=": lambda ours, _, wanted: ours <= wanted,
    ">": lambda ours, _, wanted: ours > wanted,
    ">=": lambda ours, _, wanted: ours >= wanted,
    "IN": lambda ours, _, wanted: ours in wanted.split(","),
    "NOT IN": lambda ours, _, wanted: ours not in wanted.split(","),
    "LIKE": lambda _, shown, wanted: wanted in shown,
    "CONTAINS": lambda _, shown, wanted: wanted in shown,
    "NOT LIKE": lambda _, shown, wanted: wanted not in shown,
    "STARTSWITH": lambda _, shown, wanted: shown.startswith(wanted),
    "ENDSWITH": lambda _, shown, wanted: shown.endswith(wanted),
    "ISEMPTY": lambda ours, _, wanted: not ours,
    "ISNOTEMPTY": lambda ours, _, wanted: bool(ours),
    "BETWEEN": lambda ours, _, wanted: _between(ours, wanted),
}
ON_WHAT_PEOPLE_READ = ("LIKE", "CONTAINS", "NOT LIKE", "STARTSWITH", "ENDSWITH")


def _holds(condition: Condition, record: Record, lookup: Lookup) -> bool:
    # Text compares without case, as the usual collation of the database does.
    shown = ours = (lookup(record, condition.name) or "").casefold()
    if condition.operator in ON_WHAT_PEOPLE_READ:
        shown = (lookup(record, f"{condition.name}@display") or ours).casefold()
    return TESTS[condition.operator](ours, shown, condition.value.casefold())


def _between(ours: str, wanted: str) -> bool:
    low, _, high = wanted.partition("@")
    return low <= ours <= high


def ordered(query: ParsedQuery, records: Sequence[Record], lookup: Lookup) -> list[Record]:
    """Sorted by each order, the first one deciding most."""
    found = list(records)
    for name, descending in reversed(query.orders):
        found.sort(key=lambda row: (lookup(row, name) or "").casefold(), reverse=descending)
    return found
