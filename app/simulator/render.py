"""Values as an instance sends them: everything is a string, references are objects."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from app.simulator.base import COUNTED, DISPLAY, DURATIONS, JOURNALS, REFERENCES

if TYPE_CHECKING:
    from app.simulator.instance import Instance

Record = dict[str, str]
STAMP = "%Y-%m-%d %H:%M:%S"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Renderer:
    """One answer's way of showing records: mode false, true or all; links or not."""

    def __init__(
        self, instance: "Instance", parameters: Mapping[str, str], *, base: str, caller: Record
    ) -> None:
        self._instance = instance
        self._mode = parameters.get("sysparm_display_value", "false")
        self._links = parameters.get("sysparm_exclude_reference_link", "false") != "true"
        names = [n.strip() for n in parameters.get("sysparm_fields", "").split(",") if n.strip()]
        self._fields = names or None
        self._base = base
        self._zone = ZoneInfo(caller.get("time_zone") or "UTC")

    def record(self, table: str, record: Record) -> dict[str, Any]:
        """The fields that were asked for and that the caller may see."""
        names = self._fields if self._fields is not None else list(record)
        shown = {}
        for name in names:
            if self._hidden(table, name):
                continue
            found = self._instance.walk(table, record, name)
            if found is not None:
                owner_table, owner, last = found
                shown[name] = self._value(owner_table, owner, last)
        return shown

    def records(self, table: str, rows: Sequence[Record]) -> list[dict[str, Any]]:
        """As `record`, for many rows; raw values are looked up by a plan made once."""
        plan = self._plan(table)
        if plan is None:
            return [self.record(table, row) for row in rows]
        return [{name: read(row) for name, read in plan} for row in rows]

    def _plan(self, table: str) -> list[tuple[str, Callable[[Record], str]]] | None:
        """How each field of a raw incident is read; None where only `record` knows how."""
        if table != "incident" or self._fields is None or self._mode != "false" or self._links:
            return None
        known = [name for name in self._fields if self._instance.knows_field(table, name)]
        plan = []
        for name in known:
            if self._hidden(table, name):
                continue
            read = self._reader(name)
            if read is None:
                return None
            plan.append((name, read))
        return plan

    def _reader(self, name: str) -> Callable[[Record], str] | None:
        first, _, rest = name.partition(".")
        if not rest:
            return (lambda row: "") if first in JOURNALS else (lambda row: row.get(first, ""))
        target = self._instance.table(REFERENCES[first])
        if "." in rest:
            return None
        return lambda row: target.get(row.get(first, ""), {}).get(rest, "")

    def _hidden(self, table: str, name: str) -> bool:
        hidden = self._instance.hidden_fields.get(table, frozenset())
        return name.split(".")[0] in hidden

    def _value(self, table: str, record: Record, name: str) -> Any:
        raw = record.get(name, "")
        if name in JOURNALS and table == "incident":
            history = self._history(record, name) if self._mode != "false" else ""
            return {"display_value": history, "value": ""} if self._mode == "all" else history
        target = REFERENCES.get(name)
        if target and raw:
            return self._reference(target, raw)
        if self._mode == "false":
            return raw
        shown = self._display(table, name, raw)
        return {"display_value": shown, "value": raw} if self._mode == "all" else shown

    def _reference(self, target: str, raw: str) -> Any:
        link = f"{self._base}/{target}/{raw}"
        row = self._instance.table(target).get(raw)
        shown = row.get("name", "") if row else raw if raw == "global" else ""
        if self._mode == "false":
            return {"link": link, "value": raw} if self._links else raw
        if self._mode == "true":
            return {"display_value": shown, "link": link} if self._links else shown
        whole = {"display_value": shown, "value": raw}
        return whole | {"link": link} if self._links else whole

    def _display(self, table: str, name: str, raw: str) -> str:
        if name in DISPLAY:
            return DISPLAY[name].get(raw, raw)
        if name in COUNTED and raw.isdigit():
            return f"{int(raw):,}"
        if name in DURATIONS and raw:
            return _in_words(raw)
        moment = _stamp(raw)
        if moment is not None:
            return moment.astimezone(self._zone).strftime(self._instance.date_format)
        return self._instance.choice_label(table, name, raw)

    def _history(self, record: Record, element: str) -> str:
        """Newest first, each entry with a headline in the caller's zone and format."""
        label = "Additional comments" if element == "comments" else "Work notes"
        entries = []
        for row in reversed(self._instance.journal(record["sys_id"])):
            if row["element"] != element:
                continue
            moment = _stamp(row["sys_created_on"])
            assert moment is not None
            stamp = moment.astimezone(self._zone).strftime(self._instance.date_format)
            author = self._instance.user_named(row["sys_created_by"])
            name = author["name"] if author else row["sys_created_by"]
            entries.append(f"{stamp} - {name} ({label})\n{row['value']}\n\n")
        return "".join(entries)


def _stamp(raw: str) -> datetime | None:
    if len(raw) != 19:
        return None
    try:
        return datetime.strptime(raw, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _in_words(raw: str) -> str:
    """A duration is stored as the time since 1970."""
    moment = datetime.strptime(raw, STAMP).replace(tzinfo=UTC)
    seconds = int((moment - EPOCH).total_seconds())
    words = []
    for size, name in ((86400, "Day"), (3600, "Hour"), (60, "Minute")):
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(words) or f"{seconds} Seconds"
