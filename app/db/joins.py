"""Joins whose order does not depend on what the database knows about its tables."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.selectable import Join


class InOrder(Join):
    """A join that SQLite reads from left to right.

    SQLite never moves the tables of a CROSS JOIN. Without statistics (ANALYZE), and sometimes with
    them, it would run a full-text search once for each row of the other table.
    """

    inherit_cache = True


@compiles(InOrder, "sqlite")
def _cross_join(join: InOrder, compiler: Any, **options: Any) -> str:
    options["asfrom"] = True
    left = compiler.process(join.left, **options)
    right = compiler.process(join.right, **options)
    on = compiler.process(join.onclause, **{**options, "asfrom": False})
    return f"{left} CROSS JOIN {right} ON {on}"


def in_order(first: FromClause, then: FromClause, on: ColumnElement[bool]) -> InOrder:
    """`first` decides which rows of `then` are read."""
    return InOrder(first, then, on)
