"""What a ticket and its incident share, and what both sides said of it since they last agreed."""

from collections.abc import Mapping

# Fields of a ticket that ServiceNow has too. The resolution travels with the status.
RESOLUTION = ("resolution_code", "resolution_notes")
SYNCED = ("subject", "status", "priority", "category", "assignee", *RESOLUTION)
# Fields whose emptiness is a value. Elsewhere None says nothing: unknown, hidden or not set.
CLEARABLE = ("assignee", *RESOLUTION)
Values = Mapping[str, str | None]
# {"ours": ..., "theirs": ...}: the values each side had when both last agreed.
Agreed = Mapping[str, Values]
