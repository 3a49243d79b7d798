"""How values look on pages: times in the reader's zone, lengths of time."""

from datetime import UTC, datetime, tzinfo

from markupsafe import Markup

# Set by static/app.js to the browser's own zone.
ZONE_COOKIE = "desk_time_zone"
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def when(moment: datetime | None, zone: tzinfo, now: datetime) -> Markup | str:
    """Time in `zone` and age in a `<time>` with UTC in its tooltip; the date too unless today.

    The age is kept true by static/app.js; "" for no moment.
    """
    if moment is None:
        return ""
    utc, local = moment.astimezone(UTC), _local(moment, zone)
    today = local.date() == _local(now, zone).date()
    return Markup(
        '<time datetime="{}" title="{} UTC"><span>{},</span> <span class="age">{}</span></time>'
    ).format(
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        local.strftime("%H:%M" if today else "%Y-%m-%d %H:%M"),
        age((now - moment).total_seconds()),
    )


def _local(moment: datetime, zone: tzinfo) -> datetime:
    """`moment` in `zone`, in UTC at either end of the calendar, which a zone may not hold."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(UTC)


def age(seconds: float) -> str:
    """How long ago in one rounded unit: "4 min ago", "in 3 h". static/app.js says the same."""
    length = abs(seconds)
    if length < UNITS[-1][0]:
        return "in less than 1 min" if seconds < 0 else "just now"
    return f"in {span(length)}" if seconds < 0 else f"{span(length)} ago"


def span(seconds: float) -> str:
    """A length of time in one rounded unit: "4 min", "3 h", "12 d"."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
