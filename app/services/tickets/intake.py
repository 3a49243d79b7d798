"""Creation of tickets: once per idempotency key, triaged before they are stored."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from app.db import events, tickets
from app.db.engine import reading, writing
from app.errors import Conflict, Invalid
from app.models.accounts import Role, User
from app.models.characters import is_blank
from app.models.tickets import EventKind, NewTicket, Priority, Ticket, TicketStatus
from app.security import checked_email
from app.services.copilot.readings import Reading
from app.services.copilot.service import CopilotService
from app.services.copilot.triage import TriageService


class TicketIntake:
    """Create tickets."""

    def __init__(
        self,
        engine: Engine,
        *,
        copilot: CopilotService,
        triage: TriageService,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._copilot = copilot
        self._triage = triage
        self._now = now

    def open(self, wanted: NewTicket, *, by: User, idempotency_key: str) -> tuple[Ticket, bool]:
        """Create a ticket; returns it and whether it is new. Raises Conflict, Invalid."""
        wanted = _as_allowed(wanted, by)
        given = {
            "subject": wanted.subject,
            "priority": wanted.priority,
            "category": wanted.category,
        }
        check_choices(given, self._copilot.categories())
        digest = hashlib.sha256(repr(wanted).encode("utf-8", "surrogatepass")).hexdigest()
        if idempotency_key and (known := self._find_idempotent(by, idempotency_key, digest)):
            return known, False
        found = self._triage.read(wanted.subject, wanted.description)
        try:
            with writing(self._engine) as conn:
                ticket = self._add(conn, wanted, found, by=by)
                if idempotency_key:
                    tickets.add_idempotent(
                        conn,
                        by.id,
                        idempotency_key,
                        body_hash=digest,
                        ticket_id=ticket.id,
                        now=self._now(),
                    )
        except IntegrityError:
            # A parallel request with the same key came first, so this transaction was rolled back.
            known = self._find_idempotent(by, idempotency_key, digest)
            if known is None:
                raise
            return known, False
        return ticket, True

    def _find_idempotent(self, by: User, key: str, digest: str) -> Ticket | None:
        with reading(self._engine) as conn:
            found = tickets.find_idempotent(conn, by.id, key)
            return _same_content(conn, found, digest) if found else None

    def _add(self, conn: Connection, wanted: NewTicket, found: Reading, *, by: User) -> Ticket:
        now = self._now()
        ticket = tickets.add(
            conn,
            subject=wanted.subject,
            description=wanted.description,
            requester_email=wanted.requester_email,
            status=TicketStatus.OPEN,
            priority=wanted.priority,
            category=wanted.category,
            created_at=now,
            updated_at=now,
            **found.filled(now),
        )
        events.add(
            conn,
            ticket.id,
            EventKind.STATUS,
            "Ticket created.",
            author=by.email,
            internal=False,
            now=now,
        )
        self._triage.keep(conn, ticket, found, by=by.email)
        return ticket


def _as_allowed(wanted: NewTicket, by: User) -> NewTicket:
    """Requesters create tickets only for themselves, without priority and category."""
    if by.role is Role.REQUESTER:
        return replace(wanted, requester_email=by.email, priority=None, category=None)
    return replace(
        wanted,
        requester_email=_checked_requester(wanted.requester_email.strip() or by.email),
        priority=wanted.priority or None,
        category=wanted.category or None,
    )


def _checked_requester(address: str) -> str:
    try:
        return checked_email(address)
    except Invalid as exc:
        raise Invalid(exc.message, fields={"requester_email": exc.message}) from None


def check_choices(values: Mapping[str, str | None], categories: tuple[str, ...]) -> None:
    """Raises Invalid with one message per field that has an unknown value."""
    allowed = {
        "priority": tuple(Priority),
        "category": categories,
        "status": tuple(TicketStatus),
    }
    wrong = {
        name: f"Choose one of: {', '.join(choices)}."
        for name, choices in allowed.items()
        if values.get(name) and values[name] not in choices
    }
    if "subject" in values and is_blank(values["subject"] or ""):
        wrong["subject"] = "Enter a subject."
    if "status" in values and not values["status"]:
        wrong["status"] = f"Choose one of: {', '.join(TicketStatus)}."
    if wrong:
        raise Invalid("Check these fields:", fields=wrong)


def _same_content(conn: Connection, found: tuple[str, int], digest: str) -> Ticket:
    body_hash, ticket_id = found
    if body_hash != digest:
        raise Conflict(
            "This Idempotency-Key was already used for another ticket.",
            hint="Use a new key for a new ticket.",
        )
    return tickets.get(conn, ticket_id)
