"""Rows as a CSV file that is sent while it is read."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from fastapi import Response
from fastapi.responses import StreamingResponse

# A spreadsheet would run a text that begins so as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Response:
    """A download called `name`.csv; no cell of it is a formula."""
    return StreamingResponse(
        _lines(head, rows),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    writer.writerow(head)
    for row in rows:
        yield line.getvalue()
        line.seek(0)
        line.truncate()
        writer.writerow([f"'{text}" if text.startswith(FORMULA) else text for text in row])
    yield line.getvalue()
