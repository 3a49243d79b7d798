"""The mapping page: the maps, changes to them, and a preview with cached incidents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from app.copilot.categories import CATEGORIES
from app.copilot.secrets.redact import masked
from app.db import incidents, mappings
from app.db.engine import reading, writing
from app.errors import Invalid
from app.integrations.servicenow import mapping
from app.models.form_basis import Basis
from app.models.servicenow import Incident
from app.models.servicenow_pages import (
    FieldChange,
    MapLine,
    MappedIncident,
    MappedWords,
    MappingView,
    MapSection,
    StoredMaps,
    Unmapped,
)
from app.models.tickets import Priority, TicketStatus
from app.services.servicenow.connection.lookups import Lookups
from app.services.servicenow.context import Context
from app.services.tickets.edit_conflict import edit_conflict

ELEMENTS = ("state", "priority", "category")
SHOWN = 20
HISTORY_SHOWN = 20
# Maximum number of cached values offered in addition to the choices of the instance.
MOST_VALUES = 100
Pairs = tuple[tuple[str, str], ...]
BASE: dict[str, Pairs] = {
    "state": tuple(mapping.STATE_LABELS.items()),
    "priority": tuple(mapping.PRIORITY_LABELS.items()),
    "category": tuple((value, value.capitalize()) for value in mapping.BASE_CATEGORIES),
}
OURS: dict[str, Pairs] = {
    "state": tuple((one.value, one.label) for one in TicketStatus),
    "priority": tuple((one.value, one.label) for one in Priority),
    "category": tuple((one, one.capitalize()) for one in CATEGORIES),
}
# The maps of each field: ticket to ServiceNow, and ServiceNow to ticket.
NAMES = {
    "state": ("state_of_status", "status_of_state"),
    "priority": ("their_priority", "our_priority"),
    "category": ("their_category", "our_category"),
}


@dataclass(frozen=True, slots=True)
class _Known:
    """Choices of the instance, and the number of cached incidents per value."""

    choices: Mapping[str, Pairs]
    counts: Mapping[str, Mapping[str, int]]

    def theirs(self, field: str) -> dict[str, str]:
        """Labels by value: the choices of the instance and other cached values."""
        known = dict(self.choices[field])
        seen = list(self.counts[field])[:MOST_VALUES]
        return known | {value: value for value in seen if value and value not in known}


class MappingAdmin:
    """Shows and stores the maps. Updates and imports read them each time."""

    def __init__(self, context: Context, lookups: Lookups) -> None:
        self._context = context
        self._lookups = lookups

    def view(self, typed: Mapping[str, str] | None = None) -> MappingView:
        """Data of the page, without a call to the instance.

        `typed` are unsaved values to preview. Raises Invalid for invalid values.
        """
        known = self._known()
        with reading(self._context.engine) as conn:
            stored = mappings.find(conn, self._context.host)
            read_at = incidents.choices_read_at(conn, self._context.host, ELEMENTS)
            history = mappings.history(conn, self._context.host, limit=HISTORY_SHOWN)
            recent = incidents.recent(conn, search="", state="", limit=SHOWN, offset=0)
        maps = _maps_of(stored) if typed is None else _checked(typed, known)
        seen = str(Basis.of(_lines(maps, known))) if typed is None else typed.get("seen", "")
        return MappingView(
            seen=seen,
            sections=tuple(_section(field, maps, known) for field in ELEMENTS),
            preview=tuple(_mapped(one.incident, maps, known) for one in recent),
            unmapped=tuple(_unmapped(maps, known)),
            warnings=tuple(_warnings(maps, known)),
            read_at=read_at,
            changed_at=stored.changed_at if stored else None,
            changed_by=stored.changed_by if stored else None,
            history=history,
            tried=typed is not None,
        )

    def unmapped(self) -> tuple[Unmapped, ...]:
        """Cached values that have no mapping, without a call to the instance."""
        with reading(self._context.engine) as conn:
            stored = mappings.find(conn, self._context.host)
        return tuple(_unmapped(_maps_of(stored), self._known()))

    def read_again(self) -> None:
        """Reload the choices from the instance. Raises NotConfigured and ServiceNowError."""
        with self._context.connected_client().click():
            for element in ELEMENTS:
                self._lookups.read_choices(element)

    def change(self, typed: Mapping[str, str], *, by: str) -> None:
        """Store the lines that differ from `typed["seen"]`, the values that the form showed.

        Raises NotConfigured, Invalid for a value that the instance does not have, and Conflict if
        another administrator changed the same line.
        """
        self._context.connected_client()
        known = self._known()
        host, now = self._context.host, self._context.now()
        with writing(self._context.engine) as conn:
            stored = mappings.find(conn, host)
            lines = _lines(_maps_of(stored), known)
            own, contested = _own(typed, lines)
            if contested:
                told = {name: lines[name] for name in contested}
                raise edit_conflict("mapping", stored.changed_by if stored else None, told)
            maps = _checked(lines | own, known)
            if self._note_change(conn, maps, known, by=by):
                mappings.store(conn, host, maps.stored, by=by, now=now)

    def retyped(self, typed: Mapping[str, str]) -> dict[str, str]:
        """The current maps with the changes of a form applied, without a call to the instance."""
        with reading(self._context.engine) as conn:
            stored = mappings.find(conn, self._context.host)
        lines = _lines(_maps_of(stored), self._known())
        own, _ = _own(typed, lines)
        return lines | own | {"seen": str(Basis.of(lines))}

    def reset(self, *, by: str) -> None:
        """Reset the maps to the defaults."""
        known = self._known()
        with writing(self._context.engine) as conn:
            self._note_change(conn, _maps_of(None), known, by=by)
            mappings.forget(conn, self._context.host)

    def _note_change(self, conn: Connection, maps: mapping.Maps, known: _Known, *, by: str) -> bool:
        """Add a change log entry. Returns False if the maps are unchanged."""
        host = self._context.host
        changes = tuple(_changes(_maps_of(mappings.find(conn, host)), maps, known))
        if changes:
            mappings.note_change(conn, host, changes, by=by, now=self._context.now())
        return bool(changes)

    def _known(self) -> _Known:
        with reading(self._context.engine) as conn:
            counts = {field: incidents.value_counts(conn, field) for field in ELEMENTS}
        choices = {one: self._lookups.known_choices(one) or BASE[one] for one in ELEMENTS}
        return _Known(choices, counts)


def _maps_of(stored: StoredMaps | None) -> mapping.Maps:
    return mapping.Maps.of(stored.maps if stored else None)


def _lines(maps: mapping.Maps, known: _Known) -> dict[str, str]:
    """Every line of the form with its value, "" if no value is selected."""
    sections = [_section(field, maps, known) for field in ELEMENTS]
    return {line.name: line.value for one in sections for line in (*one.out, *one.back)}


def _own(
    typed: Mapping[str, str], lines: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The changed lines, and those of them that another administrator changed too."""
    basis = Basis.parse(typed.get("seen", ""))
    own = basis.own({name: typed.get(name, "").strip() for name in lines})
    return own, basis.contested(own, lines)


def _checked(typed: Mapping[str, str], known: _Known) -> mapping.Maps:
    """The maps of a form with field names `map.key`. Raises Invalid with each invalid field."""
    stored: dict[str, dict[str, str]] = {}
    wrong: dict[str, str] = {}
    for field, (out, back) in NAMES.items():
        theirs, ours = known.theirs(field), dict(OURS[field])
        for name, keys, values in ((out, ours, theirs), (back, theirs, ours)):
            chosen = {key: typed.get(f"{name}.{key}", "").strip() for key in keys}
            stored[name] = {key: value for key, value in chosen.items() if value}
            wrong |= {
                f"{name}.{key}": "Choose a value from the list."
                for key, value in stored[name].items()
                if value not in values
            }
    for status in TicketStatus:
        if status not in stored["state_of_status"]:
            wrong[f"state_of_status.{status}"] = f"Choose a state for {status.label}."
    if wrong:
        raise Invalid("The mapping was not saved. Check these fields:", fields=wrong)
    return mapping.Maps.of(stored)


def _changes(before: mapping.Maps, after: mapping.Maps, known: _Known) -> Iterable[FieldChange]:
    """The entries that differ, with labels."""
    for field, (out, back) in NAMES.items():
        theirs, ours = known.theirs(field), dict(OURS[field])
        ways = ((out, ours, theirs, "to ServiceNow"), (back, theirs, ours, "from ServiceNow"))
        for name, keys, values, way in ways:
            old, new = before.stored[name], after.stored[name]
            for key in dict.fromkeys((*old, *new)):
                was, now = old.get(key, ""), new.get(key, "")
                if was != now:
                    what = f"{field.capitalize()} {keys.get(key, key)} {way}"
                    yield FieldChange(what, values.get(was, was), values.get(now, now))


def _section(field: str, maps: mapping.Maps, known: _Known) -> MapSection:
    out, back = NAMES[field]
    theirs, counts = known.theirs(field), known.counts[field]
    out_map, back_map = maps.stored[out], maps.stored[back]
    return MapSection(
        field=field,
        out=tuple(
            MapLine(f"{out}.{key}", label, out_map.get(key, "")) for key, label in OURS[field]
        ),
        out_choices=tuple(theirs.items()),
        back=tuple(
            MapLine(
                f"{back}.{key}",
                label,
                back_map.get(key, ""),
                count=counts.get(key, 0),
                unmapped=not _says_something(field, key, maps),
            )
            for key, label in theirs.items()
        ),
        back_choices=OURS[field],
    )


def _says_something(field: str, value: str, maps: mapping.Maps) -> bool:
    if field == "category":
        return maps.our_category.get(value, value) in CATEGORIES
    return value in (maps.status_of_state if field == "state" else maps.our_priority)


def _unmapped(maps: mapping.Maps, known: _Known) -> Iterable[Unmapped]:
    """Cached values without a mapping, with the number of incidents of each."""
    for field in ELEMENTS:
        labels = dict(known.choices[field])
        for value, count in known.counts[field].items():
            if value and not _says_something(field, value, maps):
                yield Unmapped(field, value, labels.get(value, value), count)


def _warnings(maps: mapping.Maps, known: _Known) -> Iterable[str]:
    """Warnings about statuses and priorities that map back to a different value."""
    for field in ("state", "priority"):
        out, back = (maps.stored[name] for name in NAMES[field])
        ours, theirs = dict(OURS[field]), known.theirs(field)
        for key, value in out.items():
            returned = back.get(value)
            if returned and returned != key:
                yield (
                    f"{ours[key]} is sent as {theirs.get(value, value)} but read back as "
                    f"{ours[returned]}. Check both directions."
                )


def _mapped(incident: Incident, maps: mapping.Maps, known: _Known) -> MappedIncident:
    """The ticket values of an incident, and the values that an update would send back."""
    record = {name: str(getattr(incident, name)) for name in ELEMENTS}
    ours = mapping.ticket_values(record, maps)
    status, priority = ours["status"], ours["priority"]
    sent = mapping.priority_fields(Priority(priority) if priority else None, maps)
    choices = [value for value, _ in known.choices["category"]]
    labels = {field: known.theirs(field) for field in ELEMENTS}
    state = maps.state_of_status[TicketStatus(status)] if status else ""
    back = {
        "state": state,
        "priority": sent.get("priority", ""),
        "category": mapping.their_category(ours["category"], choices, maps),
    }
    names = {field: dict(OURS[field]) for field in ELEMENTS}
    return MappedIncident(
        sys_id=incident.sys_id,
        number=incident.number,
        short_description=masked(incident.short_description),
        theirs=_words(record, labels),
        ours=_words({"state": status, "priority": priority, "category": ours["category"]}, names),
        sent=_words(back, labels),
    )


def _words(
    values: Mapping[str, str | None], labels: Mapping[str, Mapping[str, str]]
) -> MappedWords:
    """Labels of the values. A value without a mapping stays empty."""
    shown = {field: labels[field].get(value or "", value or "") for field, value in values.items()}
    return MappedWords(**shown)
