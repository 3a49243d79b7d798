"""The steps of the connection test. Each makes one request and explains the result."""

from collections.abc import Callable, Iterator

from app.errors import Kind, ServiceNowError, ServiceNowRejected
from app.integrations.servicenow.answers import http_date
from app.integrations.servicenow.call_listeners import Call, listening
from app.integrations.servicenow_client import Query, Record
from app.models.views import CHECK_LABELS, Check
from app.services.servicenow.connection import instance_clock
from app.services.servicenow.connection.key_steps import NOTHING_TO_TRY, KeyChecks
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import BASIC_HINT, ConnectionStatus
from app.services.servicenow.context import Context

# Seconds. With a larger difference, comparisons of change times are wrong.
MOST_SKEW = 60
CHOICES = ("state", "priority", "category", "close_code")
# With an error of these kinds, the instance was reached.
REACHED = (Kind.AUTH, Kind.PERMISSION, Kind.NOT_FOUND, Kind.INVALID)
NOBODYS_FIELD = "u_smart_it_copilot_probe"
# Maximum number of incidents checked for a comment or work note.
LOOKED_THROUGH = 3


class TestSteps:
    """One run of the test. `linked` is a linked incident, `held` the reason why writes are off."""

    def __init__(
        self,
        context: Context,
        lookups: Lookups,
        connection: ConnectionStatus,
        keys: KeyChecks,
        *,
        linked: str | None,
        held: str,
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._connection = connection
        self._keys = keys
        self._client = context.connected_client()
        self._linked = linked
        self._held = held
        self._failure: ServiceNowError | None = None
        self._calls: list[Call] = []
        self._seen: tuple[str, ...] = ()
        self._newest: tuple[Record, ...] = ()
        self._total: int | None = None

    def run(self) -> Iterator[Check]:
        """Yield each step when it ends. Steps that depend on a failed one are skipped."""
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
                    stop = f"Not tested because “{CHECK_LABELS[name]}” failed."

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
        context = self._context
        return Check("configuration", "passed", f"{context.auth_type} for {context.host}")

    # -- results of one call --------------------------------------------------------------

    def _reach(self, name: str) -> Check:
        """Request the newest incidents. The next three steps use the same response."""
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
        tls = "certificate valid"
        if not self._context.instance_url.startswith("https:"):
            tls = "over unencrypted HTTP (allowed on this machine only)"
        ms = self._calls[-1].ms if self._calls else 0
        return Check(name, "passed", f"Response time {ms} ms, {tls}.")

    def _clock(self, name: str) -> Check:
        theirs = http_date(self._calls[-1].date) if self._calls else None
        if theirs is None:
            return Check(name, "skipped", "The response has no date.")
        skew = round((theirs - self._context.now()).total_seconds())
        if abs(skew) <= MOST_SKEW:
            return Check(name, "passed", f"The clocks differ by {abs(skew)} s.")
        side = "ahead of" if skew > 0 else "behind"
        return Check(
            name,
            "failed",
            f"The instance's clock is {abs(skew)} s {side} this server's clock.",
            "Sync this server's clock with NTP. The app compares change times.",
        )

    def _sign_in(self, name: str) -> Check:
        if self._failure and self._failure.kind is Kind.AUTH:
            raise self._failure
        hint = BASIC_HINT if self._context.auth_type == "basic" else ""
        return Check(name, "passed", f"Signed in with {self._context.auth_type}.", hint)

    def _read_incident(self, name: str) -> Check:
        if self._failure:
            raise self._failure
        if self._seen:
            counted = f" ({self._total:,} in total)" if self._total else ""
            return Check(name, "passed", f"The account can read incidents{counted}.")
        if self._total:
            return Check(
                name,
                "failed",
                f"The account cannot see any incident ({self._total:,} in total).",
                "Access rules hide them. Give the account the role sn_incident_read or itil.",
            )
        return Check(name, "passed", "There are no incidents, or the account cannot see them.")

    # -- permissions of the account -------------------------------------------------------------

    def _write(self, name: str) -> Check:
        """Send an empty update of a linked incident. No incident is ever created."""
        if self._held:
            return Check(name, "skipped", self._held)
        if self._linked is None:
            return Check(name, "skipped", "Not tested: no incident is linked yet.")
        self._client.update_incident(self._linked, {})
        return Check(name, "passed", "ServiceNow accepted an empty update of a linked incident.")

    def _users(self, name: str) -> Check:
        page = self._client.sample(
            "sys_user", ("sys_id", "email"), Query().equals("active", "true")
        )
        if not page.records:
            return Check(
                name,
                "failed",
                "The account cannot see any users. Callers and assignees are left empty.",
                "Give the account read access to sys_user, or set SN_DEFAULT_CALLER_SYSID.",
            )
        if not any(row.get("email") for row in page.records):
            return Check(
                name,
                "failed",
                "The account can see users but not their e-mail. Callers and assignees cannot be "
                "matched.",
                "Give the account read access to sys_user.email.",
            )
        return Check(name, "passed", "The account can read users and their e-mail.")

    def _choices(self, name: str) -> Check:
        found = {element: self._lookups.read_choices(element) for element in CHOICES}
        hidden = [element for element, pairs in found.items() if not pairs]
        if hidden:
            return Check(
                name,
                "warning",
                f"The account cannot see choices for {', '.join(hidden)}.",
                "Give the account read access to sys_choice. Standard choices are used until then.",
            )
        counts = ", ".join(f"{element} {len(pairs)}" for element, pairs in found.items())
        return Check(name, "passed", f"The account can read choices: {counts}.")

    def _journal(self, name: str) -> Check:
        """Compare the journal table with the record: a closed table often returns no rows."""
        for sys_id in dict.fromkeys(filter(None, (self._linked, *self._seen))):
            try:
                if self._client.journal(sys_id):
                    return Check(name, "passed", "The account can read comments and work notes.")
                shown = self._client.display_journal(sys_id)
            except ServiceNowRejected as exc:
                if exc.kind is Kind.NOT_FOUND:
                    continue
                said = f"The account cannot read comments and work notes. {exc.message}"
                return Check(name, "warning", said, JOURNAL_HINT)
            if shown.get("comments") or shown.get("work_notes"):
                said = "The journal table (sys_journal_field) returns no rows, but entries exist."
                return Check(name, "warning", said, JOURNAL_HINT)
        said = "Not tested: no incident with a comment or work note was found."
        return Check(name, "skipped", said)

    def _query_probe(self, name: str) -> Check:
        """Query a field that does not exist (docs/servicenow.md 2.4)."""
        if not self._seen:
            return Check(name, "skipped", NOTHING_TO_TRY)
        probe = Query().equals(NOBODYS_FIELD, "1")
        try:
            page = self._client.sample("incident", ("sys_id",), probe)
        except ServiceNowRejected as exc:
            if exc.kind is not Kind.PERMISSION:
                raise
            return Check(name, "passed", "ServiceNow rejects queries with unknown fields.")
        if not page.records and not page.total:
            return Check(name, "passed", "Queries with unknown fields return no incidents.")
        return Check(
            name,
            "warning",
            "ServiceNow ignores unknown fields in queries. A mistyped query returns all incidents.",
            "Set glide.invalid_query.returns_no_rows to true in ServiceNow. Check imports with a "
            "dry run first.",
        )

    def _time_zone(self, name: str) -> Check:
        """Times in queries should be UTC (docs/servicenow.md 2.5); this is verified here."""
        if not self._newest:
            return Check(name, "skipped", NOTHING_TO_TRY)
        instance_clock.ensure_utc(self._client, self._newest)
        return Check(name, "passed", "ServiceNow reads times in queries as UTC.")


JOURNAL_HINT = (
    "Give the account read access to sys_journal_field. Until then, notes are checked in the "
    "incident's history."
)
