"""The ServiceNow service, called by pages and API routes."""

from app.db import outbox_list
from app.db.engine import reading
from app.services.clock_watch import ClockWatch
from app.services.servicenow.conflicts import Conflicts
from app.services.servicenow.connection.connection_test import ConnectionTester
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import ConnectionStatus
from app.services.servicenow.context import Context
from app.services.servicenow.incidents import Incidents
from app.services.servicenow.mapping_admin import MappingAdmin
from app.services.servicenow.merge.linking import Linking
from app.services.servicenow.pull.change_poller import IncomingChanges
from app.services.servicenow.pull.import_report import ImportReport
from app.services.servicenow.pull.import_runs import Imports
from app.services.servicenow.push.delivery import Delivery
from app.services.servicenow.push.duplicates import Duplicates
from app.services.servicenow.push.held_creates import HeldCreates
from app.services.servicenow.push.outbox import Outbox
from app.services.servicenow.push.preview import Previews
from app.services.servicenow.push.requests import PushRequests
from app.services.servicenow.sync_history import SyncHistory


class ServiceNowService:
    """What the app does with ServiceNow, one attribute per subject.

    `connection` is its status and `connection_test` its test; `incidents` reads; `push` requests
    updates, `outbox` lists, pauses, retries, discards and edits them; `imports` starts, cancels,
    undoes and reports; `incoming` applies what changed in ServiceNow.
    """

    clock: ClockWatch
    connection: ConnectionStatus
    connection_test: ConnectionTester
    conflicts: Conflicts
    delivery: Delivery
    duplicates: Duplicates
    held_creates: HeldCreates
    history: SyncHistory
    imports: Imports
    incidents: Incidents
    incoming: IncomingChanges
    linking: Linking
    lookups: Lookups
    mapping: MappingAdmin
    outbox: Outbox
    previews: Previews
    push: PushRequests

    def __init__(self, context: Context) -> None:
        self._context = context
        report = ImportReport(context)
        self.lookups = lookups = Lookups(context)
        self.clock = ClockWatch(context.engine, context.now)
        self.connection = ConnectionStatus(context)
        self.history = SyncHistory(context)
        self.held_creates = HeldCreates(context)
        self.connection_test = ConnectionTester(
            context, lookups, self.connection, self.held_creates
        )
        self.delivery = Delivery(context, lookups, self.connection, self.history, self.held_creates)
        self.incidents = Incidents(context, lookups, self.connection, report)
        self.push = PushRequests(context, lookups, self.delivery)
        self.conflicts = Conflicts(context, lookups, self.delivery)
        self.duplicates = Duplicates(context, self.connection)
        self.outbox = Outbox(context, lookups, self.delivery)
        self.mapping = MappingAdmin(context, lookups)
        self.previews = Previews(context, lookups)
        self.linking = Linking(context, lookups, self.history)
        self.incoming = IncomingChanges(context, lookups, self.connection)
        self.imports = Imports(context, lookups, self.connection, self.history, report)

    def waiting_count(self) -> int:
        """Number of waiting and blocked updates."""
        with reading(self._context.engine) as conn:
            return outbox_list.count_waiting(conn)

    def close(self) -> None:
        """Close the HTTP connections to the instance."""
        if self._context.client is not None:
            self._context.client.close()

    def recover(self) -> None:
        """Release work that a stopped process had claimed. Only for a single process."""
        self.delivery.recover()
        self.imports.recover()
        self.incoming.recover()
