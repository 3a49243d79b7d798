"""Resolved tickets, resolved incidents and articles that are similar to a ticket."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations

from sqlalchemy import Connection, Engine

from app.copilot.articles import article_of
from app.copilot.secrets.redact import masked
from app.copilot.similarity import (
    LEAST_SCORE,
    Bin,
    Calibration,
    Vocabulary,
    calibrate,
    cosine,
    pairs_among,
    starter_calibration,
    starter_vocabulary,
)
from app.copilot.tokenizer import problem_words
from app.db import similar, tickets
from app.db.engine import reading, utc_now, writing
from app.models.knowledge import (
    Candidate,
    Match,
    SimilarView,
    Source,
    SourceKind,
    StoredCalibration,
)
from app.models.triage import Neighbour

SHOWN = 5
# More candidates than are shown, because equal titles and resolutions are shown once.
LOOKED_AT = 15
NEIGHBOURS = 3
# A source is shown if most equally similar pairs of texts had the same category.
LEAST_SHARE = 0.5
CANDIDATES = 150
RAREST_WORDS = 6
# A search that would find more texts is narrowed.
MOST_HOLDERS = 3_000
SAMPLE = 3_000
FRESH = timedelta(minutes=10)
CALIBRATED_FROM = 500
ENOUGH_PAIRS = 500
CALIBRATED_EVERY = timedelta(days=1)
TOLD = 600


@dataclass(frozen=True, slots=True)
class Measure:
    """The vocabulary that similarity is computed with, and the calibration of its scores."""

    vocabulary: Vocabulary
    calibration: Calibration
    since: datetime


@dataclass(frozen=True, slots=True)
class Around:
    """Texts similar to a text: those to show, and labelled ones to explain a prediction."""

    matches: tuple[Match, ...]
    """The most similar first."""
    labelled: tuple[Neighbour, ...]
    """The most similar resolved tickets with a confirmed category, at most three."""


class SimilarService:
    """Similarity search on the database's full-text index, with bounded memory."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now
        self._measure: Measure | None = None
        self._beside = False

    def start(self) -> None:
        """Leave the loading to the worker; requests find nothing similar until it has loaded."""
        self._beside = True

    @property
    def ready(self) -> bool:
        """False until the worker has loaded the vocabulary."""
        return self._measure is not None or not self._beside

    def of_ticket(self, ticket_id: int) -> SimilarView:
        """The sources similar to a ticket, for staff. Raises NotFound."""
        with reading(self._engine) as conn:
            ticket = tickets.get(conn, ticket_id)
        if not self.ready:
            return SimilarView(ticket_id, (), starter_calibration().basis)
        matches = self.to_text(ticket.subject, ticket.description, but=ticket_id)
        return SimilarView(ticket_id, matches, self._current().calibration.basis)

    def to_text(
        self, subject: str, description: str, *, but: int | None = None
    ) -> tuple[Match, ...]:
        """The sources similar to a text, the most similar first."""
        measure = self._current()
        with reading(self._engine) as conn:
            scored = _scored(conn, problem_words(subject, description), measure, but=but)
            return _with_sources(conn, _most_similar(scored, measure))

    def around(self, subject: str, description: str, *, but: int | None = None) -> Around:
        """As `to_text`, with the labelled tickets of the same search."""
        measure = self._current()
        with reading(self._engine) as conn:
            scored = _scored(conn, problem_words(subject, description), measure, but=but)
            matches = _with_sources(conn, _most_similar(scored, measure))
            known = similar.confirmed(conn, [one.ref for _, one in scored if _is_ticket(one)])
        near = _most_similar([pair for pair in scored if pair[1].ref in known], measure)
        labelled = tuple(
            Neighbour(int(one.ref), masked(known[one.ref][0]), known[one.ref][1], alike.share)
            for one, _, alike in near[:NEIGHBOURS]
        )
        return Around(matches, labelled)

    def keep_fresh(self) -> None:
        """For the worker: reload the vocabulary every ten minutes, calibrate once a day."""
        now = self._now()
        if self._measure and now - FRESH < self._measure.since <= now:
            return
        with reading(self._engine) as conn:
            last = similar.find_calibration(conn)
        if last is None or last.created_at <= now - CALIBRATED_EVERY:
            self._calibrate(now)
        self._measure = self._read()

    def _calibrate(self, now: datetime) -> None:
        """Calibrate the scores on tickets with a confirmed category."""
        with reading(self._engine) as conn:
            texts = similar.labelled(conn, limit=CALIBRATED_FROM)
        pairs = pairs_among(texts, Vocabulary(words for _, words in texts))
        if len(pairs) < ENOUGH_PAIRS:
            return
        bins = calibrate(pairs, basis="desk").bins
        with writing(self._engine) as conn:
            stored = tuple((one.low, one.share, one.pairs) for one in bins)
            similar.store_calibration(conn, StoredCalibration(stored, now))

    def _current(self) -> Measure:
        measure = self._measure or self._read()
        self._measure = measure
        return measure

    def _read(self) -> Measure:
        with reading(self._engine) as conn:
            sampled, total = similar.sample(conn, limit=SAMPLE)
            stored = similar.find_calibration(conn)
        calibration = (
            Calibration("desk", tuple(Bin(*one) for one in stored.bins))
            if stored
            else starter_calibration()
        )
        starter = starter_vocabulary() if len(sampled) < SAMPLE else None
        vocabulary = Vocabulary(sampled, total=total, beside=starter)
        return Measure(vocabulary, calibration, since=self._now())


def _candidates(
    conn: Connection, asked: Sequence[str], vocabulary: Vocabulary, *, but: int | None
) -> list[Candidate]:
    """Candidates with several of the rarest words, then those with one very rare word."""
    rarest = vocabulary.rarest(asked, limit=RAREST_WORDS)
    singles = [(word,) for word in _within_bounds(rarest, vocabulary)]
    found: dict[tuple[SourceKind, str], Candidate] = {}
    for groups in (_together(rarest, vocabulary), singles):
        for one in (
            *similar.resolved_tickets(conn, groups, but=but, limit=CANDIDATES),
            *similar.resolved_incidents(conn, groups, limit=CANDIDATES),
            *similar.matching_articles(conn, groups, internal=True, limit=CANDIDATES),
        ):
            found.setdefault((one.kind, one.ref), one)
        if len(found) >= CANDIDATES:
            break
    return list(found.values())


def _is_ticket(candidate: Candidate) -> bool:
    return candidate.kind is SourceKind.TICKET


def _together(rarest: Sequence[str], vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    """Pairs of words, or larger groups while too many texts contain a pair."""
    groups: list[tuple[str, ...]] = []
    for size in range(2, len(rarest) + 1):
        groups = list(combinations(rarest, size))
        if sum(vocabulary.holders(*group) for group in groups) <= MOST_HOLDERS:
            break
    return groups


def _within_bounds(rarest: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    chosen, holders = [], 0
    for word in rarest:
        holders += vocabulary.holders(word)
        if holders > MOST_HOLDERS:
            break
        chosen.append(word)
    return chosen


def _scored(
    conn: Connection, asked: Sequence[str], measure: Measure, *, but: int | None
) -> list[tuple[float, Candidate]]:
    """The candidates for a text with their scores, the most similar first."""
    mine = measure.vocabulary.vector(asked)
    found = _candidates(conn, asked, measure.vocabulary, but=but)
    scored = [(cosine(mine, measure.vocabulary.vector(one.words)), one) for one in found]
    return sorted(scored, key=lambda pair: pair[0], reverse=True)


def _most_similar(
    scored: Sequence[tuple[float, Candidate]], measure: Measure
) -> list[tuple[Candidate, float, Bin]]:
    found = []
    for score, one in scored[:LOOKED_AT]:
        alike = measure.calibration.of(score) if score >= LEAST_SCORE else None
        if alike and alike.share >= LEAST_SHARE:
            found.append((one, score, alike))
    return found


def _with_sources(
    conn: Connection, best: Sequence[tuple[Candidate, float, Bin]]
) -> tuple[Match, ...]:
    found = {
        kind: similar.sources(conn, kind, [one.ref for one, _, _ in best if one.kind is kind])
        for kind in SourceKind
    }
    shown: dict[tuple[str, str], Match] = {}
    for one, score, alike in best:
        source = found[one.kind].get(one.ref)
        told = (source.title, source.resolution) if source else None
        if source and told and told not in shown and len(shown) < SHOWN:
            shown[told] = Match(_shareable(source), score, alike.share, alike.pairs)
    return tuple(shown.values())


def _shareable(source: Source) -> Source:
    """The source for display: masked and shortened, an article as its first three steps."""
    text = source.resolution
    if source.kind is SourceKind.ARTICLE:
        read = article_of(
            slug="", title="", category="", audience="", keywords="", body=source.resolution
        )
        text = " ".join(read.steps[:3])
    text = masked(text[: 2 * TOLD])
    if len(text) > TOLD:
        text = text[: TOLD - 1].rstrip() + "…"
    return replace(source, title=masked(source.title), resolution=text)
