"""The Table API: list, read, create, change and delete records of one instance."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from app.simulator.query import Condition, ParsedQuery, matches, ordered, parse
from app.simulator.render import Renderer
from app.simulator.rules import Refused

if TYPE_CHECKING:
    from app.simulator.instance import Instance

Record = dict[str, str]
DEFAULT_LIMIT = 10_000
LARGEST_BODY = 10_485_760
NOT_FOUND = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
CHECK_LOGS = (
    "java.lang.Exception: Check logs for error trace or enable glide.rest.debug property "
    "to verify REST request processing"
)
PARAMETERS = "sysparm_"
BOUNDS = (">", ">=", "<", "<=")


@dataclass(slots=True)
class Answer:
    """Status, JSON body (None for an empty one) and extra headers."""

    status: int
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One request to the Table API."""

    method: str
    version: str
    table: str
    sys_id: str | None
    parameters: Mapping[str, str]
    body: bytes
    caller: Record
    base: str


def error(status: int, message: str, detail: str | None) -> Answer:
    """The instance's error envelope."""
    return Answer(status, {"error": {"message": message, "detail": detail}, "status": "failure"})


def serve(instance: "Instance", call: Call) -> Answer:
    """One call, past sign-in and faults."""
    if call.table in instance.closed_tables:
        detail = f"User is unauthorized to access table: {call.table}"
        return error(403, "User Not Authorized", detail)
    try:
        rows = instance.table(call.table)
    except KeyError:
        return error(400, f"Invalid table {call.table}", None)
    if _hides_journal(instance, call) and not instance.journal_counted:
        rows = {}
    if call.table == "sys_audit" and not instance.audit_readable:
        rows = {}
    if len(call.body) > LARGEST_BODY:
        detail = (
            f"Rejected large REST payload with content-length = {len(call.body)} bytes. "
            f"Max allowed: {LARGEST_BODY} bytes."
        )
        return error(400, "Exception while reading request", detail)
    if call.sys_id is None:
        return _collection(instance, call, rows)
    return _one(instance, call, rows.get(call.sys_id))


def _hides_journal(instance: "Instance", call: Call) -> bool:
    return call.table == "sys_journal_field" and not instance.journal_readable


def _collection(instance: "Instance", call: Call, rows: dict[str, Record]) -> Answer:
    if call.method in ("GET", "HEAD"):
        return _list(instance, call, rows)
    if call.method != "POST":
        return error(405, "Method not supported", None)
    if call.table != "incident":
        detail = f"User is unauthorized to access table: {call.table}"
        return error(403, "User Not Authorized", detail)
    return _write(instance, call, None)


def _one(instance: "Instance", call: Call, record: Record | None) -> Answer:
    if record is None or record["sys_id"] in instance.hidden_rows:
        return error(404, *NOT_FOUND)
    if call.method in ("GET", "HEAD"):
        return Answer(200, {"result": _shown(instance, call, record)})
    if call.table != "incident":
        return error(403, "Operation Failed", "ACL Exception Update Failed")
    if call.method == "DELETE":
        if instance.rules.write_denied:
            detail = "ACL Exception Delete Failed due to security constraints"
            return error(403, "Operation Failed", detail)
        instance.delete(record["sys_id"])
        return Answer(204)
    if call.method in ("PATCH", "PUT"):
        return _write(instance, call, record)
    return error(405, "Method not supported", None)


def _shown(instance: "Instance", call: Call, record: Record) -> dict[str, Any]:
    renderer = Renderer(instance, call.parameters, base=call.base, caller=call.caller)
    return renderer.record(call.table, record)


def _write(instance: "Instance", call: Call, record: Record | None) -> Answer:
    try:
        body = json.loads(call.body or b"{}")
    except ValueError:
        body = None
    if isinstance(body, list):
        # Several records are accepted and only the first is processed.
        body = body[0] if body else {}
    if not isinstance(body, dict):
        return error(400, "Exception while reading request", "The payload is not valid JSON.")
    if record and record["sys_id"] in instance.locked_rows:
        detail = "ACL Exception Update Failed due to security constraints"
        return error(403, "Operation Failed", detail)
    try:
        if record is None:
            made = instance.insert(body, caller=call.caller)
            location = f"{call.base}/incident/{made['sys_id']}"
            shown = _shown(instance, call, made)
            return Answer(201, {"result": shown}, {"Location": location})
        changed = instance.update(record, body, caller=call.caller)
        return Answer(200, {"result": _shown(instance, call, changed)})
    except Refused as exc:
        return error(403, "Operation Failed", exc.detail)


# -- lists -------------------------------------------------------------------------------------


def _list(instance: "Instance", call: Call, rows: dict[str, Record]) -> Answer:
    query = parse(
        _query_text(instance, call),
        known=lambda name: instance.knows_field(call.table, name),
        caller=call.caller,
        literal_times=instance.literal_times,
    )
    if query.invalid and instance.invalid_query_regime == "forbidden":
        detail = "Field(s) present in the query do not have permission to be read"
        return error(403, "Insufficient rights to query records", detail)
    limit = _number(call.parameters.get("sysparm_limit"), DEFAULT_LIMIT)
    offset = max(0, _number(call.parameters.get("sysparm_offset"), 0))
    if query.invalid and instance.invalid_query_regime == "no_rows":
        found, total = list[Record](), 0
    else:
        found, total = _select(instance, call, rows, query, limit=limit, offset=offset)
    # Access rules act after the limit: the page gets shorter, the count does not.
    seen = [row for row in found if row["sys_id"] not in instance.hidden_rows]
    if _hides_journal(instance, call):
        seen = []
    if call.version == "v1" and not total:
        detail = "Records matching query not found. Check query parameter or offset parameter"
        return error(404, "No Record found", detail)
    renderer = Renderer(instance, call.parameters, base=call.base, caller=call.caller)
    answer = Answer(200, {"result": renderer.records(call.table, seen)})
    if call.parameters.get("sysparm_no_count") != "true":
        answer.headers["X-Total-Count"] = str(total)
    if call.parameters.get("sysparm_suppress_pagination_header") != "true" and total > limit:
        answer.headers["Link"] = _links(call, limit=limit, offset=offset, total=total)
    return answer


def _query_text(instance: "Instance", call: Call) -> str:
    """sysparm_query, or every other parameter as a field filter; a misspelt one is dropped."""
    if "sysparm_query" in call.parameters:
        return call.parameters["sysparm_query"]
    filters = []
    for name, value in call.parameters.items():
        if not name.startswith(PARAMETERS):
            by_label = _value_of_label(instance, call.table, name, value)
            filters.append(f"{name}={by_label.replace('^', '^^')}")
    return "^".join(filters)


def _value_of_label(instance: "Instance", table: str, name: str, value: str) -> str:
    """A field filter, unlike a query, understands choice labels and user names."""
    if table == "incident":
        for row in instance.table("sys_choice").values():
            if row["element"] == name and row["label"].casefold() == value.casefold():
                return row["value"]
        user = instance.user_named(value)
        if user and name in ("assigned_to", "caller_id", "opened_by"):
            return user["sys_id"]
    return value


def _select(
    instance: "Instance",
    call: Call,
    rows: dict[str, Record],
    query: ParsedQuery,
    *,
    limit: int,
    offset: int,
) -> tuple[list[Record], int]:
    """The rows of one page and the count of all; ranges of sys_ids come from the index."""
    lookup = instance.lookup(call.table)
    by_sys_id = query.orders == [("sys_id", False)]
    if call.table == "incident" and by_sys_id and len(query.groups) == 1:
        bounds, query.groups[0] = _bounds_and_rest(query)
        keys = instance.sorted_ids(bounds)
        if not query.groups[0]:
            return [rows[key] for key in keys[offset : offset + limit]], len(keys)
        found = [rows[key] for key in keys if matches(query, rows[key], lookup)]
    else:
        found = [row for row in list(rows.values()) if matches(query, row, lookup)]
        if query.orders:
            found = ordered(query, found, lookup)
        else:
            # No order was asked for, so none is promised: rows move between pages.
            random.shuffle(found)
    return found[offset : offset + limit], len(found)


def _bounds_and_rest(query: ParsedQuery) -> tuple[list[tuple[str, str]], list[list[Condition]]]:
    """The bounds of sys_id in a query of one group, and its other clauses."""
    bounds, rest = [], []
    for clause in query.groups[0]:
        one = clause[0]
        if len(clause) == 1 and one.name == "sys_id" and one.operator in BOUNDS:
            bounds.append((one.operator, one.value))
        else:
            rest.append(clause)
    return bounds, rest


def _links(call: Call, *, limit: int, offset: int, total: int) -> str:
    """first, prev, next, last; on the first page prev has a negative offset."""
    own = {
        name: value
        for name, value in call.parameters.items()
        if name not in ("sysparm_limit", "sysparm_offset")
    }
    last = (total - 1) // limit * limit
    offsets = {"first": 0, "prev": offset - limit, "next": offset + limit, "last": last}
    if offset + limit >= total:
        del offsets["next"]
    return ",".join(
        f"<{call.base}/{call.table}?"
        f'{urlencode(own | {"sysparm_limit": limit, "sysparm_offset": at})}>;rel="{name}"'
        for name, at in offsets.items()
    )


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text is not None else default
    except ValueError:
        return default
