"""What a model knows of itself, kept beside it."""

from dataclasses import dataclass

from app.copilot.metrics import PriorityQuality, Quality


@dataclass(frozen=True, slots=True)
class CategoryFigures:
    """What a model of categories rests on and how right it was on texts it had not seen.

    `own` and `starter` count distinct examples, `classes` them by category, `duplicates` the own
    ones that were left out. `coverage` is the share of held-back texts at or above `threshold`.
    `quality` is None when there was too little to hold back. `data_hash` is SHA-256 in hexadecimal.
    """

    version: str
    data_hash: str
    own: int
    starter: int
    duplicates: int
    classes: tuple[tuple[str, int], ...]
    measured_on_own: bool
    threshold: float
    coverage: float
    quality: Quality | None
    seconds: float

    @property
    def rests_on(self) -> str:
        """For people, as in "37 tickets of this desk and 540 starter examples"."""
        return _rests_on(own=self.own, starter=self.starter)


@dataclass(frozen=True, slots=True)
class PriorityFigures:
    """The same of a model of impact and urgency; `own` counts overrides.

    `data_hash` covers the phrases too.
    """

    version: str
    data_hash: str
    own: int
    starter: int
    measured_on_own: bool
    quality: PriorityQuality | None
    seconds: float

    @property
    def rests_on(self) -> str:
        return _rests_on(own=self.own, starter=self.starter)


def _rests_on(*, own: int, starter: int) -> str:
    mine = f"{own:,} of your tickets"
    given = f"{starter:,} starter example{'' if starter == 1 else 's'}"
    return " and ".join(part for part, count in ((mine, own), (given, starter)) if count)
