"""The ServiceNow service, called by pages and API routes."""

from app.db import outbox_list
from app.db.engine import reading
from app.services.clock_watch import ClockWatch
from app.services.servicenow.conflicts import Conflicts
from app.services.servicenow.connection.connection_test import Checking
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.connection.status import Connection
from app.services.servicenow.context import Setup
from app.services.servicenow.incidents import Reads
from app.services.servicenow.mapping_admin import MappingPage
from app.services.servicenow.merge.linking import Linking
from app.services.servicenow.pull.change_poller import Incoming
from app.services.servicenow.pull.import_runs import Pulls
from app.services.servicenow.pull.import_undo import Imports
from app.services.servicenow.push.delivery import Delivery
from app.services.servicenow.push.duplicates import Duplicates
from app.services.servicenow.push.held_creates import Restores
from app.services.servicenow.push.outbox import Owed
from app.services.servicenow.push.preview import Previews
from app.services.servicenow.push.requests import Pushes
from app.services.servicenow.sync_history import History


class ServiceNowService:
    """One attribute per task.

    `connection` holds the status, `checking` the connection test. `reads` returns incidents.
    `pushes` requests updates, `owed` manages the outbox. `pulls` starts imports, `imports` cancels
    and undoes them. `incoming` applies changes made in ServiceNow, `conflicts` resolves fields that
    both sides changed. `mapping` edits the mapping, `history` keeps the sync history, `restores`
    detects a database that was restored or copied.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.clock = ClockWatch(setup.engine, setup.now)
        self.lookups = lookups = Lookups(setup)
        self.connection = Connection(setup)
        self.history = History(setup)
        self.restores = Restores(setup)
        self.checking = Checking(setup, lookups, self.connection, self.restores)
        self.delivery = Delivery(setup, lookups, self.connection, self.history, self.restores)
        self.imports = Imports(setup)
        self.reads = Reads(setup, lookups, self.connection, self.imports)
        self.pushes = Pushes(setup, lookups, self.delivery)
        self.conflicts = Conflicts(setup, lookups, self.delivery)
        self.duplicates = Duplicates(setup, self.connection)
        self.owed = Owed(setup, lookups, self.delivery)
        self.mapping = MappingPage(setup, lookups)
        self.previews = Previews(setup, lookups)
        self.linking = Linking(setup, lookups, self.history)
        self.incoming = Incoming(setup, lookups, self.connection)
        self.pulls = Pulls(setup, lookups, self.connection, self.history)

    def owed_count(self) -> int:
        """Number of waiting and blocked updates."""
        with reading(self._setup.engine) as conn:
            return outbox_list.count_waiting(conn)

    def close(self) -> None:
        """Close the HTTP connections to the instance."""
        if self._setup.client is not None:
            self._setup.client.close()

    def recover(self) -> None:
        """Release work that a stopped process had claimed. Only for a single process."""
        self.delivery.recover()
        self.pulls.recover()
        self.incoming.recover()
