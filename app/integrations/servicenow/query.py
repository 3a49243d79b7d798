"""Encoded queries (`sysparm_query`), built and parsed, never joined from strings.

Grammar: docs/servicenow.md 2.3. `^` joins conditions, `^OR` binds to its neighbor, `^NQ` starts
a new group, `^^` is a literal caret inside a value.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.errors import Kind, ServiceNowRejected

FIELD = re.compile(r"[a-z][a-z0-9_.]*")
# Longest first: `>=` before `>`, `NOT LIKE` before `LIKE`.
OPERATORS = (
    "NOT LIKE",
    "STARTSWITH",
    "ISNOTEMPTY",
    "EMPTYSTRING",
    "NOT IN",
    "ENDSWITH",
    "CONTAINS",
    "ANYTHING",
    "ISEMPTY",
    "BETWEEN",
    "NSAMEAS",
    "SAMEAS",
    "LIKE",
    "IN",
    "!=",
    "<=",
    ">=",
    "!*",
    "=",
    "<",
    ">",
    "*",
    "%",
)
# ServiceNow runs what follows this as code, in lists and ranges too, and it has more operators
# than we know: no value may hold it anywhere.
SCRIPT = re.compile(r"javascript\s*:", re.IGNORECASE)
CONDITION = re.compile(
    rf"(?P<field>{FIELD.pattern})(?P<operator>{'|'.join(re.escape(o) for o in OPERATORS)})"
    r"(?P<value>.*)",
    re.DOTALL,
)


def refused(what: str) -> ServiceNowRejected:
    """The error for a query that must not be sent."""
    return ServiceNowRejected(
        f"The query is not valid: {what}",
        kind=Kind.INVALID,
        hint="Use conditions such as state=1^priority<=2. Join them with ^, ^OR or ^NQ.",
    )


def _field(name: str) -> str:
    if not FIELD.fullmatch(name):
        raise refused(f"“{name[:40]}” is not a valid field name.")
    return name


def _value(value: str) -> str:
    if not value.isprintable():
        raise refused("a value contains a control character or a line break.")
    if SCRIPT.search(value):
        raise refused("a value may not hold javascript:.")
    return value.replace("^", "^^")


@dataclass(frozen=True, slots=True)
class Query:
    """An immutable encoded query: groups of conditions (OR of ANDs) and an order.

    A condition added applies to every group, so `^NQ` in a caller's query cannot escape it.
    """

    groups: tuple[tuple[str, ...], ...] = ((),)
    orders: tuple[str, ...] = ()

    def __str__(self) -> str:
        joined = "^NQ".join("^".join(group) for group in self.groups)
        return "^".join(part for part in (joined, *self.orders) if part)

    def equals(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}={_value(value)}")

    def at_least(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}>={_value(value)}")

    def at_most(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}<={_value(value)}")

    def less_than(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}<{_value(value)}")

    def greater_than(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}>{_value(value)}")

    def starts_with(self, field: str, value: str) -> "Query":
        return self._and(f"{_field(field)}STARTSWITH{_value(value)}")

    def any_of(self, field: str, values: Iterable[str]) -> "Query":
        """`field` is one of the values; a comma inside one cannot be escaped and is refused."""
        wanted = tuple(values)
        if any("," in value for value in wanted):
            raise refused("a value in a list cannot contain a comma.")
        return self._and(f"{_field(field)}IN{','.join(_value(value) for value in wanted)}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields in its conditions, each once."""
        conditions = (CONDITION.fullmatch(c.removeprefix("OR")) for g in self.groups for c in g)
        return tuple(dict.fromkeys(found["field"] for found in conditions if found))

    def order_by(self, field: str) -> "Query":
        return replace(self, orders=(*self.orders, f"ORDERBY{_field(field)}"))

    def order_by_descending(self, field: str) -> "Query":
        return replace(self, orders=(*self.orders, f"ORDERBYDESC{_field(field)}"))

    def _and(self, condition: str) -> "Query":
        return replace(self, groups=tuple((*group, condition) for group in self.groups))

    @classmethod
    def parse(cls, text: str) -> "Query":
        """A caller's own encoded query, checked condition by condition.

        Raises ServiceNowRejected (invalid) naming the part that cannot be used. An order of the
        caller's is refused: ours is appended once, at the end.
        """
        if not text:
            return cls()
        if not text.isprintable():
            raise refused("it contains a control character or a line break.")
        groups: list[list[str]] = [[]]
        for term in _terms(text):
            if term == "EQ":
                continue
            if term.startswith("NQ"):
                groups.append([_condition(term[2:])])
            elif term.startswith("OR") and not term.startswith("ORDERBY"):
                if not groups[-1]:
                    raise refused("^OR needs a condition before it.")
                groups[-1].append(f"OR{_condition(term[2:])}")
            else:
                groups[-1].append(_condition(term))
        return cls(groups=tuple(tuple(group) for group in groups))


def _terms(text: str) -> list[str]:
    """Split at single carets; a doubled caret stays in its value."""
    terms, current, index = [], "", 0
    while index < len(text):
        if text.startswith("^^", index):
            current += "^^"
            index += 2
        elif text[index] == "^":
            terms.append(current)
            current = ""
            index += 1
        else:
            current += text[index]
            index += 1
    return [*terms, current]


def _condition(term: str) -> str:
    if term.startswith("ORDERBY"):
        raise refused("it cannot contain ORDERBY. The newest incidents always come first.")
    found = CONDITION.fullmatch(term)
    if not found:
        raise refused(f"“{term[:60]}” is not a valid condition.")
    value = found["value"].replace("^^", "^")
    _value(value)
    return term
