"""The connection test. One runs at a time, and each step is stored when it ends."""

import time
from dataclasses import replace

from app.db import connection_tests, links, pauses
from app.db.engine import reading, writing
from app.models.views import Check, ConnectionView
from app.services.servicenow.connection.key_steps import KeyChecks
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import TEST_DEAD_AFTER, ConnectionStatus
from app.services.servicenow.connection.test_steps import TestSteps
from app.services.servicenow.context import Context
from app.services.servicenow.push.held_creates import HeldCreates


class ConnectionTester:
    """Claims and runs the test. `Connection.view` shows its steps."""

    def __init__(
        self,
        context: Context,
        lookups: Lookups,
        connection: ConnectionStatus,
        restores: HeldCreates,
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._connection = connection
        self._restores = restores

    def start(self) -> bool:
        """Claim the test. Returns False if a test is running or ServiceNow is not configured."""
        context = self._context
        if context.client is None:
            return False
        now = context.now()
        with writing(context.engine) as conn:
            return connection_tests.claim(
                conn, context.host, now=now, dead_before=now - TEST_DEAD_AFTER
            )

    def run(self) -> None:
        """Run all steps and store each result. Never raises ServiceNowError."""
        done: list[Check] = []
        try:
            for check in self._steps().run():
                done.append(check)
                self._keep(done)
        finally:
            self._keep(done, finished=True)

    def test_now(self, *, seconds: float) -> ConnectionView:
        """Run the test and return the connection with its steps.

        If another test is running, wait up to `seconds` and return the steps of that test.
        """
        if self.start():
            self.run()
        view = self._connection.view()
        until = time.monotonic() + seconds
        while view.test and view.test.running and time.monotonic() < until:
            time.sleep(0.1)
            view = self._connection.view()
        return replace(view, checks=view.test.checks) if view.test else view

    def _steps(self) -> TestSteps:
        context = self._context
        with reading(context.engine) as conn:
            linked = links.newest_linked(conn, context.host)
            pause = pauses.find(conn, context.host)
        held = "Not tested: sending is paused." if pause else ""
        if context.read_only:
            held = "Not tested: the connection is read-only (SN_READ_ONLY)."
        keys = KeyChecks(context, self._restores)
        return TestSteps(context, self._lookups, self._connection, keys, linked=linked, held=held)

    def _keep(self, done: list[Check], *, finished: bool = False) -> None:
        finished_at = self._context.now() if finished else None
        with writing(self._context.engine) as conn:
            connection_tests.store(conn, self._context.host, done, finished_at=finished_at)
