"""The Table API of one ServiceNow instance: records in, records out.

It has never heard of tickets. Reads are repeated here with backoff, writes never: a lost answer
may hide a success, and only who asked can find out.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from app.errors import AnswerLost, Kind, ServiceNowRejected
from app.integrations.servicenow.answers import Record, record_of, result_of, unreadable
from app.integrations.servicenow.auth import BasicAuth, OAuth
from app.integrations.servicenow.call_listeners import answered
from app.integrations.servicenow.calls import Calls
from app.integrations.servicenow.pool import ConnectionPool, build_slots
from app.integrations.servicenow.query import Query
from app.integrations.servicenow.rate_limiter import RateLimiter

__all__ = [
    "BasicAuth",
    "IncidentPage",
    "OAuth",
    "Query",
    "Record",
    "ServiceNowClient",
    "build_slots",
]

SYS_ID = re.compile(r"[0-9a-zA-Z]{32}")
TABLES = frozenset(
    {"incident", "sys_user", "sys_user_group", "sys_choice", "sys_journal_field", "sys_audit"}
)
AUDIT_FIELDS = ("fieldname", "oldvalue", "newvalue", "user", "record_checkpoint", "sys_created_on")
INCIDENT_FIELDS = ("sys_id", "number", "short_description", "state", "priority", "sys_updated_on")
JOURNAL_FIELDS = ("sys_id", "element_id", "element", "value", "sys_created_on", "sys_created_by")
PAGE = 200
JOURNAL_PAGE = 1000


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Rows of one page, each once, and how many match before access rules, if it counted them.

    `repeated` counts the rows that the instance sent again.
    """

    records: tuple[Record, ...]
    total: int | None
    repeated: int = 0


def incident_url(instance_url: str, sys_id: str) -> str:
    """The page of an incident for people (docs/servicenow.md 6.4)."""
    return f"{instance_url}/nav_to.do?uri={quote(f'incident.do?sys_id={sys_id}', safe='')}"


class ServiceNowClient:
    """Table API calls over a few slots; one slot is kept for people's clicks."""

    def __init__(
        self,
        slots: Sequence[httpx.Client],
        *,
        click_seconds: float = 15,
        bulk_seconds: float = 65,
        rate_limiter: RateLimiter | None = None,
        sleep: Callable[[float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = ConnectionPool(
            slots, click_seconds=click_seconds, bulk_seconds=bulk_seconds, monotonic=monotonic
        )
        self._calls = Calls(
            self._slots, rate_limiter or RateLimiter(), sleep=sleep, monotonic=monotonic
        )

    def close(self) -> None:
        """End the calls under way and close the connections; it cannot be used after that."""
        self._slots.close()

    def click(
        self, *, own_slot: bool = True, seconds: float | None = None
    ) -> AbstractContextManager[None]:
        """All calls inside share a deadline, waiting, retries and all (see `Slots.click`)."""
        return self._slots.click(own_slot=own_slot, seconds=seconds)

    # -- incidents --------------------------------------------------------------------------

    def get_incidents(
        self,
        query: Query,
        *,
        limit: int,
        offset: int = 0,
        fields: Sequence[str] = INCIDENT_FIELDS,
        count: bool = True,
    ) -> IncidentPage:
        """One page. A short or empty page is not the end: access rules act after the limit."""
        return self._page("incident", query, fields, limit=limit, offset=offset, count=count)

    def bulk_page(
        self, query: Query, *, limit: int, offset: int = 0, fields: Sequence[str]
    ) -> IncidentPage:
        """One page of a long read, with the instance's count of what matches.

        Raises TooSlow at once when the instance cancels it, and AnswerTooLarge: the same again
        would fare no better.
        """
        return self._page("incident", query, fields, limit=limit, offset=offset, slow_too=False)

    def get_incident(self, sys_id: str, *, fields: Sequence[str] = INCIDENT_FIELDS) -> Record:
        """One incident. Raises ServiceNowRejected (not_found) when missing or hidden."""
        path = _record_path(sys_id)
        return answered(record_of(self._read(path, _reading(fields))))

    def find_incidents(self, field: str, value: str, *, fields: Sequence[str] = ()) -> list[Record]:
        """The incidents whose `field` is `value`, oldest first; the caller decides what two mean.

        An instance ignores a condition it cannot read and answers every record, so each row is
        checked again.
        """
        wanted = (*(fields or INCIDENT_FIELDS), field, "sys_created_on")
        query = Query().equals(field, value).order_by("sys_created_on").order_by("sys_id")
        page = self._page("incident", query, wanted, limit=10)
        return [row for row in page.records if _same(row.get(field, ""), value)]

    def create_incident(self, payload: Mapping[str, str], *, fields: Sequence[str] = ()) -> Record:
        """Create one incident. Not repeated here: a lost answer may hide a success."""
        path = "/api/now/table/incident"
        return self._write("POST", path, payload, fields=fields, expected=201)

    def update_incident(
        self, sys_id: str, payload: Mapping[str, str], *, fields: Sequence[str] = ()
    ) -> Record:
        """Change one incident; answers it as it is then. Not repeated here."""
        return self._write("PATCH", _record_path(sys_id), payload, fields=fields, expected=200)

    # -- the small reads that incidents need --------------------------------------------------

    def find_users_by_email(self, email: str) -> list[Record]:
        """The active users with this address; e-mail is not unique there."""
        query = Query().equals("email", email).equals("active", "true")
        fields = ("sys_id", "name", "email", "active")
        page = self._page("sys_user", query, fields, limit=10)
        return [
            row
            for row in page.records
            if _same(row.get("email", ""), email) and row.get("active") == "true"
        ]

    def groups(self) -> list[Record]:
        """The active assignment groups, by name."""
        query = Query().equals("active", "true").order_by("name").order_by("sys_id")
        return list(self._all("sys_user_group", query, ("sys_id", "name")))

    def choices(self, element: str) -> list[Record]:
        """The choices of an incident field, those inherited from task included, in their order."""
        query = (
            Query()
            .any_of("name", ("incident", "task"))
            .equals("element", element)
            .equals("inactive", "false")
            .equals("language", "en")
            .order_by("sequence")
            .order_by("sys_id")
        )
        fields = ("sys_id", "name", "element", "value", "label", "sequence")
        rows = [r for r in self._all("sys_choice", query, fields) if r.get("element") == element]
        own = [row for row in rows if row.get("name") == "incident"]
        return own or rows

    def journal(self, sys_id: str) -> list[Record]:
        """Comments and work notes, oldest first; often empty because the table is closed."""
        return list(self.journal_of((sys_id,)).records)

    def journal_of(self, sys_ids: Sequence[str], *, since: str = "") -> IncidentPage:
        """As `journal` for several incidents, and how many rows match before access rules."""
        wanted = {_checked(sys_id) for sys_id in sys_ids}
        query = Query().any_of("element_id", sorted(wanted))
        query = query.any_of("element", ("comments", "work_notes"))
        if since:
            query = query.at_least("sys_created_on", since)
        query = query.order_by("sys_created_on").order_by("sys_id")
        rows: list[Record] = []
        offset, total = 0, 0
        while offset == 0 or offset < total:
            page = self._page(
                "sys_journal_field", query, JOURNAL_FIELDS, limit=JOURNAL_PAGE, offset=offset
            )
            rows += [row for row in page.records if row.get("element_id") in wanted]
            offset, total = offset + JOURNAL_PAGE, page.total or 0
        return IncidentPage(tuple(rows), total)

    def work_notes_between(self, since: str, until: str) -> IncidentPage:
        """One page of the work notes of all incidents that were written in these minutes.

        Access rules may hide rows that `total` counts.
        """
        query = Query().equals("name", "incident").equals("element", "work_notes")
        query = query.at_least("sys_created_on", since).at_most("sys_created_on", until)
        query = query.order_by("sys_created_on").order_by("sys_id")
        return self._page("sys_journal_field", query, JOURNAL_FIELDS, limit=JOURNAL_PAGE)

    def display_journal(self, sys_id: str) -> Record:
        """The whole history as text per field: what is left when the journal table is closed."""
        parameters = _reading(("sys_id", "comments", "work_notes"))
        parameters["sysparm_display_value"] = "true"
        return record_of(self._read(_record_path(sys_id), parameters), needs=())

    def audit(self, sys_id: str, fields: Sequence[str], *, since: str) -> list[Record]:
        """Who changed these fields of an incident since then, oldest first; often closed to us."""
        query = Query().equals("documentkey", _checked(sys_id)).any_of("fieldname", fields)
        query = query.at_least("sys_created_on", since).order_by("sys_created_on")
        wanted = (*AUDIT_FIELDS, "documentkey")
        page = self._page("sys_audit", query, wanted, limit=PAGE)
        rows = [row for row in page.records if row.get("documentkey") == sys_id]
        return sorted(rows, key=lambda row: int(row.get("record_checkpoint") or 0))

    def user(self, sys_id: str) -> Record:
        """One user. Raises ServiceNowRejected (not_found) when missing or hidden."""
        path = f"/api/now/table/sys_user/{_checked(sys_id)}"
        return record_of(self._read(path, _reading(("sys_id", "name", "email"))))

    def whoami(self) -> None:
        """One cheap call that needs the sign-in and the right to read incidents."""
        self._page("incident", Query(), ("sys_id",), limit=1, count=False)

    def sample(self, table: str, fields: Sequence[str], query: Query) -> IncidentPage:
        """A few rows, to see what the account may read of a table; `total` is theirs."""
        return self._page(table, query, fields, limit=5)

    # -- inside -------------------------------------------------------------------------------

    def _all(self, table: str, query: Query, fields: Sequence[str]) -> Iterator[Record]:
        """Every row of a small list, page by page until the instance's own count is reached."""
        offset = 0
        while True:
            page = self._page(table, query, fields, limit=PAGE, offset=offset)
            yield from page.records
            offset += PAGE
            if offset >= (page.total if page.total is not None else 0):
                return

    def _page(
        self,
        table: str,
        query: Query,
        fields: Sequence[str],
        *,
        limit: int,
        offset: int = 0,
        count: bool = True,
        slow_too: bool = True,
    ) -> IncidentPage:
        if table not in TABLES:
            raise ServiceNowRejected(f"{table} is not a table we use.", kind=Kind.INVALID)
        parameters = _reading(fields) | {
            "sysparm_query": str(query),
            "sysparm_limit": str(limit),
            "sysparm_offset": str(max(0, offset)),
            "sysparm_suppress_pagination_header": "true",
        }
        if not count:
            parameters["sysparm_no_count"] = "true"
        path = f"/api/now/table/{table}"
        rows, headers = self._read_page(path, parameters, slow_too=slow_too)
        total = headers.get("X-Total-Count", "")
        once = tuple(
            {row.get("sys_id") or str(place): row for place, row in enumerate(rows)}.values()
        )
        counted = int(total) if total.isdigit() else None
        return IncidentPage(once, counted, len(rows) - len(once))

    def _read_page(
        self, path: str, parameters: Mapping[str, str], *, slow_too: bool
    ) -> tuple[list[Record], httpx.Headers]:
        def once() -> tuple[list[Record], httpx.Headers]:
            response = self._calls.once("GET", path, params=parameters)
            rows = result_of(response, expected=200)
            if not isinstance(rows, list):
                raise unreadable()
            return [record_of(row, needs=()) for row in rows], response.headers

        return self._calls.repeated(once, slow_too=slow_too)

    def _read(self, path: str, parameters: Mapping[str, str]) -> Any:
        return self._calls.repeated(
            lambda: result_of(self._calls.once("GET", path, params=parameters), expected=200)
        )

    def _write(
        self,
        method: str,
        path: str,
        payload: Mapping[str, str],
        *,
        fields: Sequence[str],
        expected: int,
    ) -> Record:
        """The answer holds `fields`, dot-walks too, or the whole record without them."""
        parameters = _reading(fields)
        if not fields:
            del parameters["sysparm_fields"]
        response = self._calls.once(method, path, params=parameters, json=dict(payload))
        try:
            return answered(record_of(result_of(response, expected=expected)))
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.UNEXPECTED:
                raise
            raise AnswerLost(exc.message, kind=Kind.UNCONFIRMED, hint=exc.hint) from exc


def _reading(fields: Iterable[str]) -> dict[str, str]:
    return {
        "sysparm_fields": ",".join(dict.fromkeys(fields)),
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
    }


def _checked(sys_id: str) -> str:
    if not SYS_ID.fullmatch(sys_id):
        raise ServiceNowRejected("The sys_id is not valid.", kind=Kind.INVALID)
    return sys_id


def _record_path(sys_id: str) -> str:
    return f"/api/now/table/incident/{_checked(sys_id)}"


def _same(ours: str, theirs: str) -> bool:
    return ours.casefold() == theirs.casefold()
