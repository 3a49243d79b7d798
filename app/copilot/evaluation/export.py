"""A CSV export of tickets, read row by row; what cannot be used is refused with a sentence."""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from app.copilot.evaluation.leaks import ColumnWatch
from app.copilot.text import READ_AT_MOST
from app.copilot.types import LabelledText
from app.errors import Invalid

# Longer is no field: a closing quote is missing.
LONGEST_FIELD = 1_000_000
# Of a text no more is ever read, so no more is kept.
KEPT = 2 * READ_AT_MOST
SEPARATORS = (",", ";", "\t", "|")
GZIP, ZIP = b"\x1f\x8b", b"PK"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Export:
    """The labelled texts of a file; `unusable` rows lacked a text or a label."""

    rows: int
    unusable: int
    examples: tuple[LabelledText, ...]
    leaks: tuple[str, ...]


def read_export(path: Path, *, text: Sequence[str], label: str) -> Export:
    """Read a file, gzipped or not. Raises Invalid with what is wrong with it."""
    if not text or label in text:
        raise Invalid("Specify at least one text column and a different label column.")
    try:
        with _opened(path) as lines:
            return _read(lines, path.name, text=text, label=label)
    except FileNotFoundError as exc:
        raise Invalid(f"{path} was not found.") from exc
    except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
        raise Invalid(f"{path.name} is damaged and cannot be unpacked.") from exc
    except OSError as exc:
        raise Invalid(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    except UnicodeDecodeError as exc:
        raise Invalid(f"{path.name} is not UTF-8 text. Save it as CSV in UTF-8.") from exc
    except csv.Error as exc:
        raise Invalid(f"{path.name} is not valid CSV: {exc}. Check for a missing quote.") from exc


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        start = raw.read(2)
    if start == ZIP:
        raise Invalid(f"{path.name} is a spreadsheet or archive. Export it as CSV.")
    encoding = "utf-16" if start in UTF_16 else "utf-8-sig"
    opener = gzip.open if start == GZIP else open
    with opener(path, "rt", encoding=encoding, newline="") as lines:
        yield lines


def _read(lines: TextIO, name: str, *, text: Sequence[str], label: str) -> Export:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        header = lines.readline(LONGEST_FIELD)
        columns, separator = _columns(header, name, wanted=(*text, label))
        reader = csv.DictReader(lines, columns, delimiter=separator, restval="")
        return _collect(reader, text=text, label=label)
    finally:
        csv.field_size_limit(before)


def _columns(header: str, name: str, *, wanted: Sequence[str]) -> tuple[list[str], str]:
    """The names of the columns and what separates them: whatever finds most of the wanted ones."""
    if not header.strip():
        raise Invalid(f"{name} is empty.")
    found, separator = max(
        (([one.strip() for one in next(csv.reader([header], delimiter=sign))], sign)
         for sign in SEPARATORS),
        key=lambda one: (sum(column in one[0] for column in wanted), len(one[0])),
    )  # fmt: skip
    missing = [column for column in wanted if column not in found]
    if missing:
        known = ", ".join(found[:20])[:300]
        raise Invalid(f"{name} has no column {', '.join(missing)}. It has: {known}.")
    return found, separator


def _collect(reader: Iterable[dict[str, str]], *, text: Sequence[str], label: str) -> Export:
    rows = unusable = 0
    examples: list[LabelledText] = []
    watch = ColumnWatch()
    for row in reader:
        rows += 1
        parts = (row[column].strip() for column in text)
        said = "\n".join(part for part in parts if part)[:KEPT]
        name = row[label].strip()
        if not said or not name:
            unusable += 1
            continue
        examples.append(LabelledText(said, name))
        watch.see({key: value for key, value in row.items() if key and key != label}, name)
    return Export(rows, unusable, tuple(examples), watch.leaks(label))
