"""Columns that give the label away: a model of them learns how the file was made, not the text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

# A column with more values than this is no kind or type.
VALUES = 40
LONGEST_VALUE = 80
# Rows that a value must have, and the share of them that must agree.
LEAST_ROWS = 30
CONSTANT = 0.99
# What nearly all other rows have too tells nothing.
ELSEWHERE = 0.9


class ColumnWatch:
    """Counts, row by row, which labels go with which values of the other columns."""

    def __init__(self) -> None:
        self._labels: Counter[str] = Counter()
        self._pairs: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._free: set[str] = set()

    def see(self, row: Mapping[str, str], label: str) -> None:
        self._labels[label] += 1
        for column, value in row.items():
            if column in self._free or not isinstance(value, str):
                continue
            pairs = self._pairs[column]
            pairs[(value[: LONGEST_VALUE + 1].strip(), label)] += 1
            if len(value) > LONGEST_VALUE or len(pairs) > VALUES * len(self._labels):
                # Free text, names, numbers: nothing to be constant.
                self._free.add(column)
                del self._pairs[column]

    def leaks(self, label: str) -> tuple[str, ...]:
        """A sentence for each value that settles the label, and for each label a column settles."""
        found: list[str] = []
        for column, pairs in self._pairs.items():
            values = _totals((value, count) for (value, _), count in pairs.items())
            if len(values) > VALUES:
                continue
            swapped = Counter({(name, value): count for (value, name), count in pairs.items()})
            found += _settled(pairs, values, self._labels, names=(column, label)) or _settled(
                swapped, self._labels, values, names=(label, column)
            )
        return tuple(found)


def _totals(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for value, count in counts:
        totals[value] += count
    return totals


def _settled(
    pairs: Counter[tuple[str, str]],
    causes: Counter[str],
    effects: Counter[str],
    *,
    names: tuple[str, str],
) -> list[str]:
    """Where one value of the first settles the second, which elsewhere takes other values too."""
    rows = causes.total()
    return [
        f"where {names[0]} is {cause!r} ({causes[cause]:,} rows), {names[1]} is always {effect!r}"
        for (cause, effect), count in pairs.most_common()
        if cause
        and causes[cause] >= LEAST_ROWS
        and count >= CONSTANT * causes[cause]
        and effects[effect] - count < ELSEWHERE * (rows - causes[cause])
    ]
