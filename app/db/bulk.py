"""Very many rows at once: one compiled statement, and only the conversions that a column needs.

The usual way works out every parameter of every row anew, which costs more than the insert.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

Same = Mapping[str, Any]
Row = tuple[Any, ...]
# Rows of one statement on SQLite; more are no quicker and cost memory. By default it takes
# 32,766 parameters.
AT_ONCE = 200


def prepared(
    dialect: Dialect, table: Table, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[Row]:
    """Rows of the named columns as the driver takes them: no transaction has to wait for it."""
    if not rows:
        return []
    columns = zip(names, zip(*rows, strict=True), strict=True)
    converted = [_converted(dialect, table, name, column) for name, column in columns]
    return list(zip(*converted, strict=True))


def insert(
    conn: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[Row],
    *,
    same: Same | None = None,
    keys: tuple[str, ...] = (),
) -> None:
    """Insert rows as the driver takes them, and the values that are the `same` in all of them.

    `prepared` makes such rows; texts and numbers need nothing. Rows with the same `keys` are
    replaced, if those are named.
    """
    if not rows:
        return
    same = same or {}
    sql, order = _compiled(conn.dialect, table, (*names, *same), keys)
    values: dict[str, Iterable[Any]] = dict(zip(names, zip(*rows, strict=True), strict=True))
    for name, value in same.items():
        (one,) = _converted(conn.dialect, table, name, (value,))
        values[name] = repeat(one, len(rows))
    ready = list(zip(*(values[name] for name in order), strict=True))
    if not conn.dialect.positional:
        conn.exec_driver_sql(sql, [dict(zip(order, row, strict=True)) for row in ready])
        return
    start, size = 0, AT_ONCE
    while start < len(ready):
        # The rest by halves, so that there are few statements to keep.
        while size > len(ready) - start:
            size //= 2
        many = _of_many(sql, len(order), size)
        conn.exec_driver_sql(many, tuple(chain(*ready[start : start + size])))
        start += size


@lru_cache(maxsize=128)
def _of_many(sql: str, columns: int, rows: int) -> str:
    """The statement for several rows at once. SQLite lets go of Python's lock at every statement,
    and gets it back late while other threads are busy: a thousand rows took a second.
    """
    one = f"({', '.join('?' * columns)})"
    return sql.replace(one, ", ".join([one] * rows), 1)


@lru_cache(maxsize=32)
def _compiled(
    dialect: Dialect, table: Table, names: tuple[str, ...], keys: tuple[str, ...]
) -> tuple[str, Sequence[str]]:
    """The statement as the driver takes it, and the names of its parameters in their order."""
    maker = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement = maker(table)
    if keys:
        new = {name: statement.excluded[name] for name in names if name not in keys}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=new)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    return str(compiled), getattr(compiled, "positiontup", None) or names


def _converted(dialect: Dialect, table: Table, name: str, column: Sequence[Any]) -> Iterable[Any]:
    """The values of one column as the driver takes them."""
    convert = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    return column if convert is None else map(convert, column)
