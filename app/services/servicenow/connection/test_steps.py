"""The steps of the connection test: each asks the instance one thing and says what it means."""

from collections.abc import Callable, Iterator

from app.errors import Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow.answers import http_date
from app.integrations.servicenow.call_listeners import Call, listening
from app.integrations.servicenow_client import Query, Record
from app.models.views import Check
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.connection.key_steps import NOTHING_TO_TRY, KeySteps
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import BASIC_HINT, Connection
from app.services.servicenow.context import Setup

# Beyond this, what changed last is judged wrongly.
MOST_SKEW = 60
CHOICES = ("state", "priority", "category", "close_code")
# An answer of these kinds came from the instance itself: it was reached.
REACHED = (Kind.AUTH, Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)
NOBODYS_FIELD = "u_smart_it_copilot_probe"
# Incidents looked through for one that has a comment or a work note.
LOOKED_THROUGH = 3


class Steps:
    """One run of the test. `linked` is an incident of ours; `held` says why nothing is written."""

    def __init__(
        self,
        setup: Setup,
        lookups: Lookups,
        connection: Connection,
        keys: KeySteps,
        *,
        linked: str | None,
        held: str,
    ) -> None:
        self._setup = setup
        self._lookups = lookups
        self._connection = connection
        self._keys = keys
        self._client = setup.connected_client()
        self._linked = linked
        self._held = held
        self._failure: ServiceNowError | None = None
        self._calls: list[Call] = []
        self._seen: tuple[str, ...] = ()
        self._newest: tuple[Record, ...] = ()
        self._total: int | None = None

    def run(self) -> Iterator[Check]:
        """Each step as it ends. What cannot be asked after a failure is skipped."""
        yield self._configuration()
        stop = ""
        for name, step in self._steps():
            if stop:
                yield Check(name, "skipped", stop)
                continue
            try:
                with self._client.click():
                    yield step(name)
            except ServiceNowError as exc:
                yield Check(name, "failed", exc.message, exc.hint)
                if exc.kind not in (Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID):
                    stop = f"Not tested, because “{name.replace('_', ' ')}” failed."

    def _steps(self) -> tuple[tuple[str, Callable[[str], Check]], ...]:
        return (
            ("reach", self._reach),
            ("clock", self._clock),
            ("sign_in", self._sign_in),
            ("read_incident", self._read_incident),
            ("write", self._write),
            ("users", self._users),
            ("choices", self._choices),
            ("journal", self._journal),
            ("query_probe", self._query_probe),
            ("time_zone", self._time_zone),
            ("create_keys", self._keys.kept),
            ("own_incidents", self._keys.known),
        )

    def _configuration(self) -> Check:
        setup = self._setup
        return Check("configuration", "passed", f"{setup.auth_type} for {setup.host}")

    # -- what one call tells --------------------------------------------------------------

    def _reach(self, name: str) -> Check:
        """Asks for the newest incidents; the next three steps tell more of the same answer."""
        try:
            with self._connection.watch(), listening() as self._calls:
                newest = Query().order_by_descending("sys_updated_on")
                fields = ("sys_id", "number", instance_clock.STAMP)
                page = self._client.get_incidents(newest, limit=LOOKED_THROUGH, fields=fields)
        except ServiceNowError as exc:
            if exc.kind not in REACHED:
                raise
            self._connection.remember_failure(exc)
            self._failure = exc
        else:
            self._newest = page.records
            self._seen = tuple(row["sys_id"] for row in page.records)
            self._total = page.total
        tls = "the certificate is valid"
        if not self._setup.instance_url.startswith("https:"):
            tls = "over plain http, which is for this machine only"
        ms = self._calls[-1].ms if self._calls else 0
        return Check(name, "passed", f"Answered in {ms} ms, {tls}.")

    def _clock(self, name: str) -> Check:
        theirs = http_date(self._calls[-1].date) if self._calls else None
        if theirs is None:
            return Check(name, "skipped", "The instance sent no date.")
        skew = round((theirs - self._setup.now()).total_seconds())
        if abs(skew) <= MOST_SKEW:
            return Check(name, "passed", f"The clocks differ by {abs(skew)} s.")
        side = "ahead of" if skew > 0 else "behind"
        return Check(
            name,
            "failed",
            f"The instance's clock is {abs(skew)} s {side} ours.",
            "Set this machine's clock by NTP; what changed last is judged by it.",
        )

    def _sign_in(self, name: str) -> Check:
        if self._failure and self._failure.kind is Kind.AUTH:
            raise self._failure
        hint = BASIC_HINT if self._setup.auth_type == "basic" else ""
        return Check(name, "passed", f"Signed in with {self._setup.auth_type}.", hint)

    def _read_incident(self, name: str) -> Check:
        if self._failure:
            raise self._failure
        if self._seen:
            counted = f"; the instance counts {self._total:,}" if self._total else ""
            return Check(name, "passed", f"Incidents can be read{counted}.")
        if self._total:
            return Check(
                name,
                "failed",
                f"The instance counts {self._total:,} incidents and shows none of them.",
                "Access rules hide them: give the account the role sn_incident_read or itil.",
            )
        return Check(name, "passed", "There is no incident yet, or none that the account sees.")

    # -- what the account may -------------------------------------------------------------

    def _write(self, name: str) -> Check:
        """An empty change of an incident that is ours already; nothing is ever created."""
        if self._held:
            return Check(name, "skipped", self._held)
        if self._linked is None:
            return Check(name, "skipped", "Not tested until the first push: no incident is linked.")
        self._client.update_incident(self._linked, {})
        return Check(name, "passed", "An empty change of a linked incident was accepted.")

    def _users(self, name: str) -> Check:
        page = self._client.sample(
            "sys_user", ("sys_id", "email"), Query().equals("active", "true")
        )
        if not page.records:
            return Check(
                name,
                "failed",
                "No user is visible: callers and assignees will be left empty.",
                "Let the account read sys_user, or set SN_DEFAULT_CALLER_SYSID.",
            )
        if not any(row.get("email") for row in page.records):
            return Check(
                name,
                "failed",
                "Users are visible, their e-mail addresses are not: nobody will be found by them.",
                "Let the account read the field email of sys_user.",
            )
        return Check(name, "passed", "Users and their e-mail addresses can be read.")

    def _choices(self, name: str) -> Check:
        found = {element: self._lookups.read_choices(element) for element in CHOICES}
        hidden = [element for element, pairs in found.items() if not pairs]
        if hidden:
            return Check(
                name,
                "warning",
                f"No choices are visible for {', '.join(hidden)}.",
                "Let the account read sys_choice; until then the base choices are assumed.",
            )
        counts = ", ".join(f"{element} {len(pairs)}" for element, pairs in found.items())
        return Check(name, "passed", f"Choices can be read: {counts}.")

    def _journal(self, name: str) -> Check:
        """A closed journal table often answers an empty list: compared with the record's own."""
        for sys_id in dict.fromkeys(filter(None, (self._linked, *self._seen))):
            try:
                if self._client.journal(sys_id):
                    return Check(name, "passed", "Comments and work notes can be read.")
                shown = self._client.display_journal(sys_id)
            except ServiceNowRejected as exc:
                if exc.kind is Kind.NOT_FOUND:
                    continue
                return Check(name, "warning", f"The journal is closed. {exc.message}", JOURNAL_HINT)
            if shown.get("comments") or shown.get("work_notes"):
                said = "The journal table silently answers nothing, though there are entries."
                return Check(name, "warning", said, JOURNAL_HINT)
        return Check(name, "skipped", "No incident with a comment or work note was found to try.")

    def _query_probe(self, name: str) -> Check:
        """A condition on a field that does not exist: docs/servicenow.md 2.4."""
        if not self._seen:
            return Check(name, "skipped", NOTHING_TO_TRY)
        probe = Query().equals(NOBODYS_FIELD, "1")
        try:
            page = self._client.sample("incident", ("sys_id",), probe)
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.PERMISSION:
                raise
            return Check(name, "passed", "A query with an unknown field is refused.")
        if not page.records and not page.total:
            return Check(name, "passed", "A query with an unknown field finds nothing.")
        return Check(
            name,
            "warning",
            "ServiceNow ignores conditions on unknown fields; a mistyped query reads everything.",
            "Set glide.invalid_query.returns_no_rows to true there, and start with a dry run.",
        )

    def _time_zone(self, name: str) -> Check:
        """Literal times in queries are UTC (docs/servicenow.md 2.5), but that is only reported."""
        if not self._newest:
            return Check(name, "skipped", NOTHING_TO_TRY)
        instance_clock.ensure_utc(self._client, self._newest)
        return Check(name, "passed", "Times in queries are read as UTC.")


JOURNAL_HINT = (
    "Let the account read sys_journal_field; until then notes are checked by the incident's own "
    "history."
)
