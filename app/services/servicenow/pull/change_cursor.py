"""Read all changes since a time, in order, without losing a row.

Update times have whole seconds, so each page starts at the last second of the previous page, and
repeated rows are dropped. A second with more rows than a page is read by sys_id. Access rules apply
after the limit, so a short or empty page is not the end (docs/servicenow.md 5.6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from app.integrations.servicenow import mapping
from app.integrations.servicenow_client import IncidentPage, Query, Record

STAMP = "sys_updated_on"
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Followed:
    """Rows not returned before. `matching` is the count of the instance at the start."""

    records: tuple[Record, ...]
    matching: int


class ReadPage(Protocol):
    """Reads one page of incidents with all mapped fields."""

    def __call__(self, query: Query, *, limit: int, offset: int) -> IncidentPage: ...


class ChangeCursor:
    """One pass through the changes of an instance."""

    def __init__(self, read: ReadPage, *, page_size: int) -> None:
        self._read = read
        self._size = page_size
        self._given: set[tuple[str, str]] = set()
        self._matching: int | None = None

    def since(self, stamp: str) -> Iterator[Followed]:
        """Yield rows updated at `stamp` (raw, UTC) or later. Raises ServiceNowError."""
        offset = 0
        while True:
            page = self._page(Query().at_least(STAMP, stamp).order_by(STAMP), offset)
            yield self._fresh(page)
            if not self._more(page, offset):
                return
            last = page.records[-1].get(STAMP, "") if page.records else ""
            if not last:
                offset += self._size
            elif last > stamp:
                self._forget_but(last, page)
                stamp, offset = last, 0
            else:
                yield from self._rest_of_second(stamp, after=page.records[-1]["sys_id"])
                stamp = mapping.format_stamp(mapping.parse_stamp(stamp) + SECOND)
                offset = 0

    def _rest_of_second(self, stamp: str, *, after: str) -> Iterator[Followed]:
        offset = 0
        while True:
            query = Query().equals(STAMP, stamp).greater_than("sys_id", after)
            page = self._page(query, offset)
            yield self._fresh(page)
            if not self._more(page, offset):
                return
            if page.records:
                after, offset = page.records[-1]["sys_id"], 0
            else:
                offset += self._size

    def _page(self, query: Query, offset: int) -> IncidentPage:
        page = self._read(query.order_by("sys_id"), limit=self._size, offset=offset)
        if self._matching is None:
            self._matching = page.total or 0
        return page

    def _more(self, page: IncidentPage, offset: int) -> bool:
        return page.total is not None and offset + self._size < page.total

    def _fresh(self, page: IncidentPage) -> Followed:
        fresh = [row for row in page.records if _key(row) not in self._given]
        self._given |= {_key(row) for row in fresh}
        return Followed(tuple(fresh), self._matching or 0)

    def _forget_but(self, stamp: str, page: IncidentPage) -> None:
        """Keep only the rows of the last second, because only they are repeated."""
        self._given = {_key(row) for row in page.records if row.get(STAMP) == stamp}


def _key(row: Record) -> tuple[str, str]:
    return row["sys_id"], row.get("sys_mod_count", "")
