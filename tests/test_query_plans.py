"""No statement of a page reads a whole table that grows, whatever the database knows of it.

Nor does one run a full-text search once for each row of another table.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, event, text

from app.db import tickets
from app.db.engine import reading
from app.db.tables import metadata
from app.models.tickets import TicketStatus
from app.models.views import TicketFilter
from app.routes.table import ROUTERS
from tests.both_sides import BothSides

# Tables without a row for each ticket, incident, push or event.
SMALL = """
api_tokens article_terms articles calibrations choices connections copilot_settings
incoming installation login_attempts mapping_changes mappings password_resets sessions sync_runs
sync_streams trained_models users
"""
GROWING = frozenset(metadata.tables) - frozenset(SMALL.split())
# Indexes of the few rows that wait for something: they may be read from end to end.
PARTIAL = [
    str(index.name)
    for table in metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None
]
# Statements that read a whole table by their nature, and why they may.
ALLOWED = {
    "count(*) AS count_1 FROM tickets GROUP BY tickets.status": "the dashboard counts every ticket",
    "WHERE tickets.id + ? IN (SELECT rowid": "a thousand match: walked until the page is full",
    "lower(incidents.short_description) LIKE": "cached incidents are searched within words",
    "WHERE incidents.state = ": "the cached incidents of one state, newest first",
    "count(*) AS count_1 FROM incidents GROUP BY": "the mapping page counts what incidents carry",
    "count(*) AS count_1 FROM outbox": "the outbox page counts all pushes",
    "FROM outbox WHERE (outbox.state NOT IN": "pushes that are over, newest first",
}
VALUES = {"ticket_id": "1", "item_id": "1", "run_id": "1", "kind": "reply", "slug": "vpn"}
LISTS = (
    "q=mail&status=open",
    "q=mail&priority=high&category=network&assignee=nobody",
    "q=1",
    "q=INC0010001",
    "status=unfinished&sort=oldest",
    "status=closed",
    "priority=urgent",
    "category=network",
    "assignee=nobody&sort=created",
    "conflict=yes",
    "conflict=yes&status=open&sort=priority",
    "sort=priority",
    "sort=oldest",
)
Statements = Mapping[str, Any]


@contextmanager
def recorded(engine: Engine) -> Iterator[Statements]:
    """Every statement that reads or changes rows, with parameters."""
    seen: dict[str, Any] = {}

    def keep(
        _conn: Connection, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if sql.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.setdefault(sql, parameters[0] if many else parameters)

    event.listen(engine, "before_cursor_execute", keep)
    yield seen
    event.remove(engine, "before_cursor_execute", keep)


def addresses(sys_id: str) -> Iterator[str]:
    """Every page and JSON route that can be read, and the lists with each of their filters."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            if "GET" in (route.methods or ()):
                values = {**VALUES, "sys_id": sys_id, "token": "0"}
                names = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
                yield names.format(**values)
    for query in LISTS:
        yield f"/tickets?{query}"
        yield f"/api/tickets?{query}&cursor=999"
    for query in ("q=mail", "state=1", "q=mail&state=1"):
        yield f"/servicenow?{query}"
    for query in ("ticket=1", "state=waiting", "state=done", "kind=create"):
        yield f"/servicenow/outbox?{query}"
    yield "/articles?q=vpn&category=network"


def work(both: BothSides, engine: Engine) -> None:
    """What the usual clicks do, and the worker behind them."""
    desk, services = both.desk, both.desk.services
    mine = desk.ticket("Mail is slow", "Since today", requester="requester@example.com")
    desk.note(mine.id, "Have you restarted it?", internal=False)
    both.here(priority="urgent")
    both.service.delivery.deliver_due()
    desk.set_status(mine.id, TicketStatus.RESOLVED)
    services.servicenow.imports.start(by=desk.user.email, limit=10, import_tickets=True)
    services.servicenow.imports.run_due()
    services.knowledge.index_missing()
    services.background.keep_up()
    services.similar.to_text("Mail is slow", "The mail of everybody is slow since the update")
    with reading(engine) as conn:
        for wanted in (TicketFilter(q="mail"), TicketFilter(q="mail", status="open")):
            tickets.page(conn, wanted, sort="updated", limit=25, offset=0, broad=True)


def read_everything(sys_id: str, admin: TestClient, requester: TestClient) -> None:
    for path in addresses(sys_id):
        admin.get(path)
        if path.startswith(("/tickets", "/api/tickets")):
            requester.get(path)


def plain(sql: str) -> str:
    """A statement on one line, as SQLite spells it."""
    sql = re.sub(r"%\(\w+\)s(::\w+)?", "?", " ".join(sql.split()))
    return re.sub(r"([\w.]+) ILIKE '%%'", r"lower(\1) LIKE '%'", sql)


def allowed(sql: str) -> bool:
    return any(known in plain(sql) for known in ALLOWED)


def stops_at_its_limit(sql: str, plan: list[str]) -> bool:
    """Rows are taken in the order of an index, none is passed over, and there is a limit."""
    sorts = ("USE TEMP B-TREE FOR ORDER BY", "USE TEMP B-TREE FOR GROUP BY")
    return "LIMIT" in sql and "WHERE" not in sql and not any(one in sorts for one in plan)


def sqlite_scans(conn: Connection, sql: str, parameters: Any) -> list[str]:
    plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
    steps = [row[3] for row in plan]
    whole = [
        one
        for one in steps
        if (name := re.match(r"SCAN (\w+)", one))
        and name[1] in GROWING
        and not any(f"INDEX {index}" in one for index in PARTIAL)
    ]
    # Loops of one parent stand from the outermost to the innermost.
    loops = [(row[1], row[3]) for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
    outer = dict(reversed(loops))
    inner = [step for parent, step in loops if "VIRTUAL" in step and outer[parent] != step]
    return inner + ([] if stops_at_its_limit(sql, steps) else whole)


def postgresql_scans(conn: Connection, sql: str, parameters: Any) -> list[str]:
    plan = [row[0] for row in conn.exec_driver_sql(f"EXPLAIN {sql}", parameters)]
    found = [re.search(r"Seq Scan on (\w+)", line) for line in plan]
    return (
        []
        if stops_at_its_limit(sql, [])
        else [one[0] for one in found if one and one[1] in GROWING]
    )


def pretend_to_know(conn: Connection) -> None:
    """Statistics of a million rows a table, most of them closed long ago."""
    conn.exec_driver_sql("ANALYZE")
    conn.exec_driver_sql("DELETE FROM sqlite_stat1")
    for table in metadata.tables.values():
        for index in table.indexes:
            columns = len(index.expressions)
            alike = ["20000" if "status" in str(index.name) else "1000"] * columns
            numbers = " ".join(["1000000", *alike[:-1], "1" if index.unique else alike[-1]])
            conn.execute(
                text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:tbl, :idx, :stat)"),
                {"tbl": table.name, "idx": index.name, "stat": numbers},
            )
    conn.commit()


def refuse_scans(conn: Connection, statements: Statements) -> None:
    scans = sqlite_scans
    if conn.dialect.name == "postgresql":
        scans = postgresql_scans
        # A table as small as a test's is read whole unless that is forbidden.
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
    found = [
        f"{plain(sql)}\n    {whole}"
        for sql, parameters in statements.items()
        if not allowed(sql) and (whole := scans(conn, sql, parameters))
    ]
    assert not found, "\n".join(found)


def test_no_statement_reads_a_whole_table(
    both: BothSides, engine: Engine, admin: TestClient, requester: TestClient
) -> None:
    with recorded(engine) as statements:
        work(both, engine)
        read_everything(both.sys_id, admin, requester)
    assert len(statements) > 150
    with reading(engine) as conn:
        refuse_scans(conn, statements)
    if engine.dialect.name == "sqlite":
        seen = "\n".join(map(plain, statements))
        assert [known for known in ALLOWED if known not in seen] == []
        with engine.connect() as conn:
            pretend_to_know(conn)
        engine.dispose()
        with reading(engine) as conn:
            refuse_scans(conn, statements)
