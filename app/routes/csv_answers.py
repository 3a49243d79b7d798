"""Streamed CSV downloads."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from fastapi import Response
from fastapi.responses import StreamingResponse

from app.models.characters import plain

# A spreadsheet runs a text with one of these prefixes as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Rows per chunk: sent one by one, each row would wait for a thread.
AT_ONCE = 500
# Without it, Excel does not recognize UTF-8.
BYTE_ORDER_MARK = "\ufeff"


def csv_answer(
    name: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, for_programs: bool = False
) -> Response:
    """A download named `name`.csv without formulas.

    It starts with a byte-order mark, except `for_programs`.
    """
    lines = _lines(head, rows)
    return StreamingResponse(
        lines if for_programs else chain([BYTE_ORDER_MARK], lines),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rest = iter(rows)
    yield _csv([head])
    while some := list(islice(rest, AT_ONCE)):
        yield _csv([_cell(text) for text in row] for row in some)


def _cell(text: str) -> str:
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
