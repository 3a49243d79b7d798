"""Status of the connection to the instance: configured, reachable, failing since."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection as DbConnection

from app.db import circuit_breaker, incidents, outbox_releases, restores
from app.db.engine import reading, writing
from app.errors import AnswerLost, HeldBack, Kind, ServiceNowError, ServiceNowUnavailable
from app.models.servicenow import Pause, Rest
from app.models.views import Check, ConnectionTest, ConnectionView
from app.services.servicenow.context import Context

KEPT = timedelta(seconds=30)
# A test that runs longer than this was stopped with its process.
TEST_DEAD_AFTER = timedelta(minutes=3)
STEPS = ("configuration", "reach", "sign_in", "read_incident")
# The step at which each kind of connection error stops the test. Other kinds concern one record
# or request.
STEP_OF_KIND = {
    Kind.NETWORK: "reach",
    Kind.BUSY: "reach",
    Kind.RATE: "reach",
    Kind.HIBERNATING: "reach",
    Kind.UNEXPECTED: "reach",
    Kind.AUTH: "sign_in",
    Kind.PERMISSION: "read_incident",
}
BASIC_HINT = "OAuth is recommended. ServiceNow is phasing out basic authentication."


class ConnectionStatus:
    """Stores the result of each call and derives the status from it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Update the status with the result of the calls made inside."""
        started = time.monotonic()
        with self.watch_failures():
            yield
        with writing(self._context.engine) as conn:
            recovered = self.note_success(conn, int(1000 * (time.monotonic() - started)))
        if recovered:
            self._context.wake()

    @contextmanager
    def watch_failures(self) -> Iterator[None]:
        """As `watch`, for a caller that records the success in a transaction of its own."""
        try:
            yield
        except HeldBack:
            raise
        except ServiceNowError as exc:
            if exc.kind in STEP_OF_KIND:
                self.remember_failure(exc)
            if isinstance(exc, ServiceNowUnavailable | AnswerLost):
                self._count_failure(exc)
            raise

    def rest(self) -> Rest | None:
        """The open circuit breaker, or None."""
        with reading(self._context.engine) as conn:
            return circuit_breaker.find(conn, self._context.host, now=self._context.now())

    def view(self) -> ConnectionView:
        """The last known status, without a call."""
        context = self._context
        with reading(context.engine) as conn:
            row = incidents.connection(conn, context.host)
            rest = circuit_breaker.find(conn, context.host, now=context.now())
            restore = restores.find(conn, context.host)
        seen = dict(row) if row else {}
        state, sentence, hint = self._words(seen)
        return ConnectionView(
            state=state,
            sentence=sentence,
            hint=hint,
            missing=context.missing,
            instance_url=context.instance_url,
            auth_type=context.auth_type,
            read_only=context.read_only,
            checked_at=seen.get("checked_at"),
            last_ok_at=seen.get("last_ok_at"),
            failed_since=seen.get("last_failed_at") if seen.get("last_error_kind") else None,
            last_error=seen.get("last_error"),
            last_error_kind=seen.get("last_error_kind"),
            latency_ms=seen.get("latency_ms"),
            fetched_at=seen.get("fetched_at"),
            checks=self._checks(seen),
            pause=_pause(seen),
            rest=rest,
            restore=restore,
            test=_test(seen, context.now()),
        )

    def try_again(self) -> None:
        """Test again after a start, because the settings may have been corrected."""
        with reading(self._context.engine) as conn:
            row = incidents.connection(conn, self._context.host)
        if row and row["last_error_kind"]:
            self.test()

    def test(self) -> ConnectionView:
        """Make one call and return the status. Never raises ServiceNowError."""
        if self._context.client is not None:
            try:
                with self.watch(), self._context.client.click():
                    self._context.client.whoami()
            except ServiceNowError as exc:
                if exc.kind not in STEP_OF_KIND:
                    self.remember_failure(exc)
        return self.view()

    def health(self) -> ConnectionView:
        """As `test`, with a result cached for 30 seconds."""
        view = self.view()
        now = self._context.now()
        fresh = view.checked_at and now - KEPT < view.checked_at <= now
        return view if fresh or not view.configured else self.test()

    def remember_fetch(self) -> None:
        """Record that the newest incidents were cached now."""
        with writing(self._context.engine) as conn:
            now = self._context.now()
            incidents.remember_connection(conn, self._context.host, fetched_at=now)

    def note_success(self, conn: DbConnection, latency_ms: int) -> bool:
        """Record that calls succeeded. Returns whether earlier ones had failed: then wake."""
        now, host = self._context.now(), self._context.host
        row = incidents.connection(conn, host)
        recovered = bool(row and row["last_error_kind"])
        seen: incidents.Seen = {
            "checked_at": now,
            "last_ok_at": now,
            "latency_ms": latency_ms,
            "last_failed_at": None,
            "last_error": None,
            "last_error_kind": None,
            "last_hint": None,
        }
        if recovered:
            seen["recovered_at"] = now
        incidents.remember_connection(conn, host, **seen)
        if row and row["failing_kind"]:
            circuit_breaker.end(conn, host)
        if recovered:
            outbox_releases.release(conn, host, now=now)
        return recovered

    def remember_failure(self, exc: ServiceNowError) -> None:
        """Record a connection error. It stands until a call succeeds."""
        now = self._context.now()
        with writing(self._context.engine) as conn:
            row = incidents.connection(conn, self._context.host)
            since = row["last_failed_at"] if row and row["last_error_kind"] else now
            incidents.remember_connection(
                conn,
                self._context.host,
                checked_at=now,
                last_failed_at=since,
                last_error=exc.message,
                last_error_kind=exc.kind,
                last_hint=exc.hint,
            )

    def _count_failure(self, exc: ServiceNowError) -> None:
        now, host = self._context.now(), self._context.host
        with writing(self._context.engine) as conn:
            circuit_breaker.note_failure(conn, host, kind=exc.kind, reason=exc.message, now=now)

    def _words(self, seen: dict[str, object]) -> tuple[str, str, str]:
        context = self._context
        if context.missing:
            hint = f"Set {', '.join(context.missing)}."
            return "not_configured", "ServiceNow not configured.", hint
        if seen.get("last_error_kind"):
            return "not_connected", str(seen["last_error"]), str(seen.get("last_hint") or "")
        if seen.get("last_ok_at"):
            return "connected", f"Connected to {context.host}.", ""
        return "unknown", f"The connection to {context.host} is not tested yet.", ""

    def _checks(self, seen: dict[str, object]) -> tuple[Check, ...]:
        context = self._context
        if context.missing:
            names = ", ".join(context.missing)
            first = Check("configuration", "failed", f"Missing: {names}.", "Set these variables.")
            return (first, *(Check(name, "skipped", "") for name in STEPS[1:]))
        hint = BASIC_HINT if context.auth_type == "basic" else ""
        checks = [Check("configuration", "passed", f"{context.auth_type} for {context.host}", hint)]
        if not seen.get("checked_at"):
            return (*checks, *(Check(name, "skipped", "Not tested yet.") for name in STEPS[1:]))
        broken = None
        if seen.get("last_error_kind"):
            kind = Kind(str(seen["last_error_kind"]))
            broken = STEP_OF_KIND.get(kind, "read_incident")
        for name in STEPS[1:]:
            if broken is None or STEPS.index(name) < STEPS.index(broken):
                checks.append(Check(name, "passed", ""))
            elif name == broken:
                hint = str(seen.get("last_hint") or "")
                checks.append(Check(name, "failed", str(seen["last_error"]), hint))
            else:
                checks.append(Check(name, "skipped", ""))
        return tuple(checks)


def _pause(seen: Mapping[str, Any]) -> Pause | None:
    if not seen.get("paused_at"):
        return None
    return Pause(seen["paused_at"], seen["paused_by"], seen["paused_reason"])


def _test(seen: Mapping[str, Any], now: datetime) -> ConnectionTest | None:
    started_at = seen.get("test_started_at")
    if started_at is None:
        return None
    running = not seen["test_finished_at"] and now - started_at < TEST_DEAD_AFTER
    checks = tuple(Check(**check) for check in seen["test_checks"] or ())
    return ConnectionTest(started_at, running, checks)
