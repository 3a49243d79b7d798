"""Rows as a CSV file that is sent while it is read."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from fastapi import Response
from fastapi.responses import StreamingResponse

# A spreadsheet would run a text that begins so as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Rows that go out at once: one by one, each would wait for a thread.
AT_ONCE = 500


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Response:
    """A download called `name`.csv; no cell of it is a formula."""
    return StreamingResponse(
        _lines(head, rows),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rest = iter(rows)
    yield _csv([head])
    while some := list(islice(rest, AT_ONCE)):
        yield _csv(
            [f"'{text}" if text.startswith(FORMULA) else text for text in row] for row in some
        )


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
