"""The numbers of the dashboard."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from app.db import deflections, prediction_outcomes, tickets
from app.db.engine import reading
from app.models.accounts import Role, User
from app.models.accuracy import TriageCounts
from app.models.tickets import Priority, TicketStatus
from app.models.views import Counts

DAYS = 30
# Labels with the upper bound in days.
AGES = (("Last 24 hours", 1), ("1 to 7 days", 7), ("7 to 30 days", 30), ("Over 30 days", None))


class DashboardService:
    """Counts of tickets and predictions from the app's own database."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    def triage(self) -> TriageCounts:
        """The triage results of tickets created in the last `DAYS` days."""
        since = self._now() - timedelta(days=DAYS)
        with reading(self._engine) as conn:
            triaged = prediction_outcomes.triaged(conn, since=since)
            untouched = prediction_outcomes.left_untouched(conn, since=since)
            deflected = deflections.count(conn, since=since)
        return TriageCounts(DAYS, triaged, untouched, deflected)

    def counts(self, viewer: User) -> Counts:
        """Counts of all tickets for agents, of their own tickets for requesters."""
        agent = viewer.role.may_act_as(Role.AGENT)
        since = [self._now() - timedelta(days=days) for _, days in AGES if days]
        with reading(self._engine) as conn:
            by_status, by_priority, ages = tickets.counts(
                conn, requester=None if agent else viewer.email, since=since
            )
        unfinished = sum(number for s, number in by_status.items() if not TicketStatus(s).ended)
        return Counts(
            by_status=tuple((status, by_status.get(status, 0)) for status in TicketStatus),
            by_priority=tuple(
                (value, by_priority.get(value, 0)) for value in (*reversed(Priority), "")
            ),
            by_age=tuple((AGES[i][0], number) for i, number in enumerate(ages)),
            unfinished=unfinished,
        )
