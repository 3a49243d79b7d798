"""Reading very many incidents: a few streams over disjoint ranges of sys_id, a page at a time.

A stream asks for what lies beyond its last sys_id, so rows that are changed, added or deleted
meanwhile neither shift a page nor come twice (docs/servicenow.md 5.6).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic, TypeVar

from app.errors import AnswerTooLarge, Kind, ServiceNowRejected, TooSlow
from app.integrations.servicenow.answers import Record
from app.integrations.servicenow.query import Query
from app.integrations.servicenow_client import IncidentPage, ServiceNowClient

Page = TypeVar("Page")

PAGE = 1_000
SMALLEST_PAGE = 50
PREFIX = 2


@dataclass(frozen=True, slots=True)
class Stream:
    """A range of sys_ids from `lower` to below `upper`, "" for open, and how far it was read.

    `expected` is what the instance counts beyond `last_sys_id` if access rules hid nothing of
    the last page; None where that page was full.
    """

    position: int
    lower: str = ""
    upper: str = ""
    last_sys_id: str = ""
    finished: bool = False
    expected: int | None = None

    def within(self, query: Query) -> Query:
        """The query for what this stream has not read yet, in sys_id order."""
        if self.upper:
            query = query.less_than("sys_id", self.upper)
        if self.last_sys_id:
            query = query.greater_than("sys_id", self.last_sys_id)
        elif self.lower:
            query = query.at_least("sys_id", self.lower)
        return query.order_by("sys_id")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Page]):
    """One page: its stream as it stands after it, its rows, how many were hidden before them."""

    stream: Stream
    page: Page
    hidden: int
    page_size: int


def streams(count: int) -> tuple[Stream, ...]:
    """`count` streams that share all sys_ids evenly, by their first hexadecimal digits."""
    whole = 16**PREFIX
    bounds = ["", *(f"{whole * one // count:0{PREFIX}x}" for one in range(1, count)), ""]
    return tuple(Stream(one, bounds[one], bounds[one + 1]) for one in range(count))


class BulkReader(Generic[Page]):
    """Reads streams side by side; `page_size` is what the instance has coped with.

    Each stream makes its pages of its records by `read_as`, while the reader stores others.
    """

    def __init__(
        self,
        client: ServiceNowClient,
        query: Query,
        fields: Sequence[str],
        read_as: Callable[[tuple[Record, ...]], Page],
        *,
        page_size: int = PAGE,
    ) -> None:
        self._client = client
        self._query = query
        self._fields = fields
        self._read_as = read_as
        self.page_size = page_size

    def batches(self, streams: Iterable[Stream]) -> Iterator[Batch[Page]]:
        """Page after page as they arrive, those of one stream in order, until all are read.

        Each stream is at most one page ahead of the reader. Raises ServiceNowError; what came
        before is good, and the streams can be read on from there.
        """
        waiting = [stream for stream in streams if not stream.finished]
        pool = ThreadPoolExecutor(max(1, len(waiting)), thread_name_prefix="bulk")
        under_way = {self._ask(pool, one) for one in waiting}
        try:
            while under_way:
                arrived, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                while arrived:
                    # Taken out, so that a page goes when it was stored.
                    batch = arrived.pop().result()
                    if not batch.stream.finished:
                        under_way.add(self._ask(pool, batch.stream))
                    yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, pool: ThreadPoolExecutor, stream: Stream) -> Future[Batch[Page]]:
        """The next page in a thread, which tells the same listener as this one."""
        return pool.submit(copy_context().run, self.read, stream)

    def read(self, stream: Stream) -> Batch[Page]:
        """The next rows of one stream.

        Access rules act after the limit, so a short or empty page is not the end: an empty one is
        stepped over until the instance's own count is reached. A row that comes again is left out.
        """
        query = stream.within(self._query)
        offset = hidden = 0
        while True:
            page, size = self._page(query, offset)
            records = [row for row in page.records if not _same(row, stream.last_sys_id)]
            # Where a row came twice, another one may have had no room.
            again = page.repeated + len(page.records) - len(records)
            if offset == 0 and stream.expected is not None and page.total is not None:
                hidden = max(0, stream.expected - page.total)
            ended = offset + size >= page.total if page.total is not None else not page.records
            finished = ended and not again
            if records or finished:
                break
            # Rows may be deleted meanwhile, and what follows them moves up.
            offset += size - size // 10
        left = None if page.total is None else page.total - len(records)
        if finished and left is not None:
            hidden += max(0, left)
        full = offset == 0 and len(records) + again == size
        after = replace(
            stream,
            last_sys_id=_last_sys_id(records, stream.last_sys_id),
            finished=finished,
            expected=None if full else left,
        )
        return Batch(after, self._read_as(tuple(records)), hidden, size)

    def _page(self, query: Query, offset: int) -> tuple[IncidentPage, int]:
        """One page, smaller ones until the instance copes; and the size that it coped with."""
        while True:
            size = self.page_size
            try:
                page = self._client.bulk_page(query, limit=size, offset=offset, fields=self._fields)
            except (TooSlow, AnswerTooLarge):
                if size <= SMALLEST_PAGE:
                    raise
                self.page_size = min(self.page_size, max(SMALLEST_PAGE, size // 2))
            else:
                return page, size


def _same(record: Record, sys_id: str) -> bool:
    return record["sys_id"].casefold() == sys_id.casefold()


def _last_sys_id(records: Sequence[Record], before: str) -> str:
    """Where the page ends. Raises ServiceNowRejected when its rows are not in order."""
    ids = [before, *(record["sys_id"] for record in records)]
    if not (_ascending(ids) or _ascending([one.casefold() for one in ids])):
        raise ServiceNowRejected(
            "ServiceNow did not sort incidents by sys_id.",
            kind=Kind.UNEXPECTED,
            hint="Check that the integration account can sort by this field.",
        )
    return ids[-1]


def _ascending(ids: Iterable[str]) -> bool:
    return all(one < other for one, other in pairwise(ids))
