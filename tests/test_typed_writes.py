"""Writes name their columns, so that mypy refuses one that the table does not have."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table

from app.db import (
    accounts,
    change_cursor,
    import_runs,
    incidents,
    outbox,
    sync_history,
    tables,
    ticket_columns,
    trained_models,
)
from tests.test_layers import ROOT

WRITES: dict[type, Table] = {
    accounts.Change: tables.users,
    change_cursor.Progress: tables.incoming,
    import_runs.Wanted: tables.sync_runs,
    import_runs.Progress: tables.sync_runs,
    import_runs.Undo: tables.sync_runs,
    incidents.Seen: tables.connections,
    outbox.NewItem: tables.outbox,
    outbox.Choices: tables.outbox,
    outbox.NextTry: tables.outbox,
    sync_history.Entry: tables.exchanges,
    ticket_columns.Changes: tables.tickets,
    ticket_columns.SyncState: tables.tickets,
    ticket_columns.NewRow: tables.tickets,
    trained_models.Result: tables.trained_models,
}


@pytest.mark.parametrize("names", WRITES, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_what_a_write_may_name_is_a_column(names: type) -> None:
    assert set(names.__annotations__) <= set(WRITES[names].c.keys())


def untyped(path: Path) -> Iterator[str]:
    """Functions on a connection that take keywords of any name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.args.kwarg and node.args.args:
            if node.args.args[0].arg != "conn":
                continue
            kind = node.args.kwarg.annotation
            if not (isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Unpack"):
                yield f"{path.relative_to(ROOT)}: {node.name}"


def test_no_write_takes_columns_of_any_name() -> None:
    modules = sorted((ROOT / "app" / "db").rglob("*.py"))
    assert [name for path in modules for name in untyped(path)] == []


def test_changes_whose_names_are_known_at_run_time_are_checked_then() -> None:
    assert ticket_columns.as_changes({"subject": "Printer"}) == {"subject": "Printer"}
    with pytest.raises(KeyError, match="colour"):
        ticket_columns.as_changes({"colour": "red"})
