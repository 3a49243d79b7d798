"""Users, groups and choices of the instance, as updates need them."""

import logging
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection as DbConnection

from app.db import circuit_breaker, incidents, mappings
from app.db.engine import reading, writing
from app.errors import Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow.mapping import Maps, People
from app.models.tickets import Ticket
from app.services.servicenow.context import Context

FRESH = timedelta(hours=1)
# A new account does not wait longer for the name of its owner.
NAME_SECONDS = 3.0
GROUPS = "assignment_group"
log = logging.getLogger("app.lookups")
# The account may lack access to these lists. Updates work without them.
HIDDEN = (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)


NOT_FOUND = "{email} was not found in ServiceNow."
AMBIGUOUS = "{email} matches more than one active user in ServiceNow."


class UserMatch(NamedTuple):
    """`sys_id` is empty when there is no single user; then `trouble` says why."""

    sys_id: str
    trouble: str


class Lookups:
    """Caches groups and choices for an hour. Looks up users on demand."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def known_choices(self, element: str) -> tuple[tuple[str, str], ...]:
        """Cached (value, label) pairs, without a call; empty if never loaded."""
        since = self._context.now() - timedelta(days=365)
        with reading(self._context.engine) as conn:
            known = incidents.known_choices(conn, self._context.host, element, since=since)
        return known or ()

    def choices(self, element: str) -> tuple[tuple[str, str], ...]:
        """(value, label) pairs of an incident field; empty if the account cannot read them."""
        with reading(self._context.engine) as conn:
            known = self.fresh_choices(conn, element)
        return known if known is not None else self.read_choices(element)

    def fresh_choices(self, conn: DbConnection, element: str) -> tuple[tuple[str, str], ...] | None:
        """As `choices`, without a call; None if they must be loaded first."""
        since = self._context.now() - FRESH
        return incidents.known_choices(conn, self._context.host, element, since=since)

    def groups(self) -> tuple[tuple[str, str], ...]:
        """(sys_id, name) of the active assignment groups; empty if they are hidden."""
        return self.choices(GROUPS)

    def maps(self) -> Maps:
        """The current maps of states, priorities and categories."""
        with reading(self._context.engine) as conn:
            found = mappings.find(conn, self._context.host)
        return Maps.of(found.maps if found else None)

    def read_choices(self, element: str) -> tuple[tuple[str, str], ...]:
        """As `choices`, always loaded from the instance."""
        context = self._context
        try:
            pairs = self._fetch(element)
        except ServiceNowRejected as exc:
            if exc.kind not in HIDDEN:
                raise
            pairs = ()
        with writing(context.engine) as conn:
            incidents.store_choices(conn, context.host, element, pairs, now=context.now())
        return pairs

    def _fetch(self, element: str) -> tuple[tuple[str, str], ...]:
        client = self._context.connected_client()
        if element == GROUPS:
            return tuple((row["sys_id"], row.get("name", "")) for row in client.groups())
        return tuple((row["value"], row.get("label", "")) for row in client.choices(element))

    def people(self, ticket: Ticket) -> People:
        """Caller and assignee in ServiceNow. Each is exactly one active user, or empty."""
        notes: list[str] = []
        caller, trouble = self.find_user(ticket.requester_email)
        if not caller:
            caller = self._context.defaults.caller
            used = "Default caller is used." if caller else "The caller stays empty."
            notes.append(f"Caller: {trouble} {used}")
        assigned_to, trouble = self.find_user(ticket.assignee)
        if ticket.assignee and not assigned_to:
            notes.append(f"Assignee: {trouble}")
        return People(caller=caller, assigned_to=assigned_to, notes=tuple(notes))

    def full_name(self, email: str) -> str:
        """The name of the one active user with this address, if it is told within 3 s, else ""."""
        context = self._context
        with reading(context.engine) as conn:
            rest = circuit_breaker.find(conn, context.host, now=context.now())
        if context.client is None or rest:
            return ""
        try:
            with context.client.click(seconds=NAME_SECONDS):
                found = context.client.find_users_by_email(email)
        except ServiceNowError as exc:
            log.info("no name for a new account: %s", exc.message)
            return ""
        return found[0].get("name", "") if len(found) == 1 else ""

    def find_user(self, email: str | None) -> UserMatch:
        """The single active user with this e-mail, or the reason why there is none."""
        if not email:
            return UserMatch("", NOT_FOUND.format(email=email))
        try:
            found = self._context.connected_client().find_users_by_email(email)
        except ServiceNowRejected as exc:
            if exc.kind not in HIDDEN:
                raise
            found = []
        if len(found) > 1:
            return UserMatch("", AMBIGUOUS.format(email=email))
        if not found:
            return UserMatch("", NOT_FOUND.format(email=email))
        return UserMatch(found[0]["sys_id"], "")
