"""Test steps about created incidents: their keys, and signs of a restored database."""

from app.integrations.servicenow_client import Query
from app.models.servicenow import KeptKeys
from app.models.views import Check
from app.services.servicenow.context import Context
from app.services.servicenow.push.create_lookup import CreateLookup
from app.services.servicenow.push.held_creates import HeldCreates

NOTHING_TO_TRY = "Not tested: the account cannot see any incident."
KEYS_HINT = "Give the account read access to correlation_id and correlation_display of incident."
HELD_HINT = "Compare both sides. Then press “Release new incidents” on the ServiceNow page."


class KeyChecks:
    """Each step makes one request and explains the result."""

    def __init__(self, context: Context, restores: HeldCreates) -> None:
        self._context = context
        self._restores = restores
        self._finder = CreateLookup(context)

    def kept(self, name: str) -> Check:
        """The keys by which a created incident can be found, tested with the newest one."""
        kept = self._finder.try_newest_create() or self._by_a_sample()
        if kept.correlation_id is None and kept.sys_id is None:
            return Check(name, "skipped", "Not tested: the account cannot see any incident.")
        if not kept.correlation_id and not kept.sys_id:
            said = (
                "A created incident cannot be found by its correlation ID or sys_id. After a lost "
                "response, the app searches the work notes. If it finds nothing, a person decides."
            )
            return Check(name, "failed", said, KEYS_HINT)
        ways = {"correlation ID": kept.correlation_id, "sys_id": kept.sys_id}
        found = " and ".join(way for way, known in ways.items() if known)
        return Check(name, "passed", f"A created incident can be found by its {found}.")

    def _by_a_sample(self) -> KeptKeys:
        """Whether the account can read the field. Only a create shows if a sys_id is kept."""
        fields = ("sys_id", "correlation_id")
        page = self._context.connected_client().sample("incident", fields, Query())
        if not page.records:
            return KeptKeys()
        return KeptKeys(correlation_id=any("correlation_id" in row for row in page.records))

    def known(self, name: str) -> Check:
        """Whether the database knows the newest incidents that this installation created."""
        readable = self._restores.check()
        found = self._restores.find()
        if found is not None and found.held:
            said = f"Another copy of this database created {found.number}. New incidents are held."
            return Check(name, "failed", said, HELD_HINT)
        if not readable:
            return Check(name, "skipped", "Not tested: the account cannot read correlation IDs.")
        return Check(
            name,
            "passed",
            "The newest created incidents are in this database.",
        )
