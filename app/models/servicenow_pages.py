"""What the pages beside /servicenow show: mapping, outbox, history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredMaps:
    """Maps as an admin left them, in plain words."""

    maps: Mapping[str, Mapping[str, str]]
    changed_at: datetime
    changed_by: str
