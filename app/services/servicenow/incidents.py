"""Read incidents from the cache, or live from the instance on request."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.copilot.html_text import as_text
from app.copilot.secrets.redact import masked
from app.db import import_runs, incidents, links, outbox_list, tickets
from app.db.engine import reading, writing
from app.errors import Invalid, Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow import mapping
from app.integrations.servicenow_client import Query
from app.models.servicenow import Incident, JournalEntry, MirroredIncident
from app.models.servicenow_pages import OutboxFilter
from app.models.views import (
    IncidentDetails,
    IncidentList,
    IncidentRow,
    LiveIncidents,
    Overview,
    TicketFilter,
)
from app.services.privacy import masked_incident
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.pull.import_report import ImportReport

PAGE_SIZE = 25
LATEST = 100
HIGHEST_LIMIT = 1000
WAITING_SHOWN = 20
WAITING = OutboxFilter(state="waiting")


class Incidents:
    """Read access to incidents. Never writes to the instance."""

    def __init__(
        self, context: Context, lookups: Lookups, connection: ConnectionStatus, report: ImportReport
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._connection = connection
        self._report = report

    def overview(self, *, search: str = "", state: str = "", page: int = 1) -> Overview:
        """Data of the ServiceNow page, without a call to the instance."""
        with reading(self._context.engine) as conn:
            run = import_runs.latest(conn)
            waiting = outbox_list.page(conn, WAITING, limit=WAITING_SHOWN, offset=0)
            conflicts = tickets.count(conn, TicketFilter(conflict=True))
        view = self._connection.view()
        shown = self.list(search=search, state=state, page=page)
        pull = self._report.view(run)
        return Overview(view, shown, pull=pull, waiting=waiting, conflicts=conflicts)

    def list(self, *, search: str = "", state: str = "", page: int = 1) -> IncidentList:
        """One page of cached incidents, latest update first."""
        search, state = search.strip()[:100], mapping.state_of(state)
        with reading(self._context.engine) as conn:
            total = incidents.count(conn, search=search, state=state)
            pages = max(1, -(-total // PAGE_SIZE))
            page = min(max(page, 1), pages)
            found = incidents.recent(
                conn, search=search, state=state, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE
            )
            present = incidents.states(conn)
        labels = self._state_labels()
        return IncidentList(
            rows=tuple(self._row_of(mirrored, labels) for mirrored in found),
            total=total,
            capped=total >= incidents.COUNT_CAP,
            page=page,
            pages=pages,
            search=search,
            state=state,
            states=tuple((one, labels.get(one, one)) for one in sorted({*labels, *present})),
            fetched_at=self._connection.view().fetched_at,
            configured=self._context.client is not None,
        )

    def fetch_latest(self) -> int:
        """Cache the newest 100 incidents with one request. Returns their number.

        Raises NotConfigured and ServiceNowError.
        """
        client = self._context.connected_client()
        query = _latest_first(Query())
        with self._connection.watch(), client.click():
            page = client.get_incidents(query, limit=LATEST, fields=mapping.FIELDS, count=False)
        found = _readable(page.records)
        with writing(self._context.engine) as conn:
            incidents.store(conn, found, now=self._context.now())
        self._connection.remember_fetch()
        return len(found)

    def live(self, *, query: str = "", state: str = "", limit: int = 25) -> LiveIncidents:
        """Incidents from the instance, newest first. `query` is an encoded query.

        Raises Invalid for an unknown state, NotConfigured and ServiceNowError.
        """
        client = self._context.connected_client()
        wanted = Query.parse(query)
        if state:
            wanted = wanted.equals("state", known_state(state))
        with self._connection.watch(), client.click():
            page = client.get_incidents(_latest_first(wanted), limit=limit, fields=mapping.FIELDS)
        found, host = _readable(page.records), self._context.host
        with reading(self._context.engine) as conn:
            ticket_ids = links.tickets_of(conn, host, [one.sys_id for one in found])
        labels = self._state_labels()
        rows = tuple(self._row(one, labels, ticket_ids.get(one.sys_id)) for one in found)
        return LiveIncidents(rows=rows, total=page.total)

    def incident(self, sys_id: str) -> IncidentDetails:
        """One incident from the instance, with its comments and work notes.

        Raises NotConfigured and ServiceNowError. The kind `not_found` also covers an incident that
        the account cannot see.
        """
        client = self._context.connected_client()
        try:
            with self._connection.watch(), client.click():
                record = client.get_incident(sys_id, fields=mapping.FIELDS)
                journal = self._journal(sys_id)
        except ServiceNowRejected as exc:
            if exc.kind is Kind.NOT_FOUND:
                with writing(self._context.engine) as conn:
                    incidents.remove(conn, sys_id)
            raise
        incident = mapping.incident_from_record(record)
        with writing(self._context.engine) as conn:
            incidents.store(conn, [incident], now=self._context.now())
            ticket_id = links.ticket_of(conn, incident.sys_id, host=self._context.host)
        return IncidentDetails(self._row(incident, self._state_labels(), ticket_id), journal)

    def incident_or_copy(self, sys_id: str) -> IncidentDetails:
        """As `incident`, with the cached copy as fallback while the instance is unavailable."""
        try:
            return self.incident(sys_id)
        except ServiceNowError as exc:
            if exc.kind in (Kind.NOT_FOUND, Kind.INVALID):
                raise
            with reading(self._context.engine) as conn:
                mirrored = incidents.find(conn, sys_id)
            if mirrored is None:
                raise
            row = self._row_of(mirrored, self._state_labels())
            return IncidentDetails(row, (), stale=exc.message)

    def _journal(self, sys_id: str) -> tuple[JournalEntry, ...]:
        try:
            rows = self._context.connected_client().journal(sys_id)
        except ServiceNowRejected:
            # Integration accounts often cannot read the journal. The incident is shown without it.
            return ()
        entries = (mapping.journal_entry(row) for row in rows)
        return tuple(replace(entry, body=masked(as_text(entry.body))) for entry in entries)

    def _state_labels(self) -> dict[str, str]:
        return mapping.STATE_LABELS | dict(self._lookups.known_choices("state"))

    def _row_of(self, mirrored: MirroredIncident, labels: dict[str, str]) -> IncidentRow:
        return self._row(
            mirrored.incident, labels, mirrored.ticket_id, fetched_at=mirrored.fetched_at
        )

    def _row(
        self,
        incident: Incident,
        labels: dict[str, str],
        ticket_id: int | None,
        *,
        fetched_at: datetime | None = None,
    ) -> IncidentRow:
        return IncidentRow(
            incident=masked_incident(incident),
            state_label=labels.get(incident.state, incident.state or "Unknown"),
            priority_label=mapping.PRIORITY_LABELS.get(
                incident.priority, incident.priority or "Unknown"
            ),
            url=self._context.url_of(incident.sys_id),
            ticket_id=ticket_id,
            fetched_at=fetched_at,
        )


def known_state(text: str) -> str:
    """The state value for a label or a value. Raises Invalid for an unknown state."""
    value = mapping.state_of(text)
    if not value:
        labels = ", ".join(mapping.STATE_LABELS.values())
        raise Invalid(
            f"“{text[:40]}” is not a valid state.",
            fields={"state": f"Use a number such as 1, or one of: {labels}."},
        )
    return value


def _readable(records: Sequence[mapping.Record]) -> list[Incident]:
    """The valid incidents. Raises ServiceNowRejected if all records are invalid."""
    found: list[Incident] = []
    trouble: ServiceNowRejected | None = None
    for record in records:
        try:
            found.append(mapping.incident_from_record(record))
        except ServiceNowRejected as exc:
            trouble = exc
    if trouble and not found:
        raise trouble
    return found


def _latest_first(query: Query) -> Query:
    return query.order_by_descending("sys_updated_on").order_by_descending("sys_id")
