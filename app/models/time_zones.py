"""Time zones by their IANA names."""

from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

# The regions of the zones to choose from; aliases for old systems are left out.
REGIONS = frozenset(
    (
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    )
)


def find_zone(name: str | None) -> ZoneInfo | None:
    """The zone of this name; None for a name that is empty, unknown or unusable."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def zone_names() -> tuple[str, ...]:
    """The names to choose from, UTC first."""
    return "UTC", *sorted(
        name for name in available_timezones() if name.partition("/")[0] in REGIONS
    )
