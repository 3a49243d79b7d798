"""What was exchanged with an instance, for whoever listens. It has never heard of tickets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.integrations.servicenow.answers import Record, http_date

# A long read is remembered by its latest calls.
MOST = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its end: `status` is the HTTP status, or what kept the answer away.

    `transaction` is the instance's X-Transaction-ID. `sent` are the fields of a write, `record`
    is the one record that was answered, `date` the Date header.
    """

    method: str
    path: str
    status: str
    transaction: str
    ms: int
    sent: Mapping[str, str] = field(default_factory=dict, repr=False)
    record: Mapping[str, str] = field(default_factory=dict, repr=False)
    date: str = ""

    @property
    def writes(self) -> bool:
        return self.method != "GET"


_listener: ContextVar[list[Call] | None] = ContextVar("servicenow_listener", default=None)


@contextmanager
def listening() -> Iterator[list[Call]]:
    """The calls made inside, in their order, once they have ended."""
    calls: list[Call] = []
    token = _listener.set(calls)
    try:
        yield calls
    finally:
        _listener.reset(token)


def latest(path: str) -> Call | None:
    """The latest call that the listener of this thread heard of a path."""
    calls = _listener.get() or ()
    return next((call for call in reversed(calls) if call.path == path), None)


def latest_date() -> datetime | None:
    """The time by the instance's clock, as the latest answer in this thread gave it."""
    dates = (http_date(call.date) for call in reversed(_listener.get() or ()))
    return next((date for date in dates if date is not None), None)


def heard(call: Call) -> None:
    """Tell the listener of a call that has ended."""
    calls = _listener.get()
    if calls is not None:
        calls.append(call)
        del calls[:-MOST]


def answered(record: Record) -> Record:
    """The record that the latest call answered, told to the listener."""
    calls = _listener.get()
    if calls:
        calls[-1] = replace(calls[-1], record=record)
    return record
