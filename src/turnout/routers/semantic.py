"""Routes that people name by example: the prompt goes where the utterances most like it lead.

A logistic head fitted on the utterances chooses the route. The match score is the head's probability
times the similarity of the route's nearest utterance: either alone parts prompts of no route less
well. A score below the route's threshold means none of these, which is an answer of its own. Only
the chosen route's utterances are compared with the prompt, so that a thousand times as many of other
routes cost nothing; a store in which they cannot be reached by route gives the nearest of all, and
the head chooses among the routes of those.
See `docs/guides/semantic.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turnout.encoders.base import Encoder
from turnout.encoders.opening import DEFAULT, open_encoder
from turnout.errors import UnknownNameError
from turnout.routers.index.base import Index, unit_rows
from turnout.routers.index.local import NumpyIndex
from turnout.routers.index.opening import open_index
from turnout.routers.matching import MATCHERS, Labels, Scorer, by_weights, fit_head, softmax
from turnout.routers.route_head import read_head
from turnout.routers.routes import NONE, Action, RouteFile, read_routes
from turnout.types import Candidate, Floats, PairRule, Prediction, Query

SHIPPED = Path(__file__).parent / "shipped" / "routes.yaml"
LOGISTIC = "logistic"
NEIGHBOURS = 16
"""Nearest utterances whose routes are candidates, of an index that is not searched by route."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What n prompts are most like."""

    route: Labels
    """(n,) the best route, before thresholds."""
    score: Floats
    """(n,) match score in [0, 1]: probability times similarity."""
    similarity: Floats
    """(n,) cosine similarity of that route's nearest utterance."""


@dataclass(frozen=True)
class SemanticRouter:
    """Predicts by the route that a query matches. Made by `open_semantic`."""

    file: RouteFile
    encoder: Encoder
    index: Index
    owner: Labels
    """(u,) route of each utterance, ascending; utterance i has id i in the index."""
    scorer: Scorer
    name: str = "semantic"
    waits: bool = False
    """True where the index or the encoder is in another process."""

    @property
    def fingerprint(self) -> str | None:
        """Of the file."""
        return self.file.fingerprint

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate that a route uses must exist, and every score be there.

        Raises:
            UnknownNameError: one is not.
        """
        names = [c.name for c in candidates]
        for where, action in [
            *((f"route {r.name!r}", r.action) for r in self.file.routes),
            (NONE, self.file.none),
        ]:
            if action.use is not None and action.use not in (*names, "strong", "weak"):
                raise UnknownNameError(f"candidate ({where})", action.use, names)
            for name in names if action.scores else ():
                if name not in action.scores:
                    raise UnknownNameError(f"score ({where})", name, action.scores)

    def match(self, rows: Floats) -> Matched:
        """The best route of each of (n, d) encoded prompts.

        Raises:
            RouterError: the index cannot be reached.
        """
        unit = unit_rows(rows, self.encoder.dimension, "queries")
        n = len(unit)
        scores = np.empty((n, len(self.file.routes)), dtype=np.float32)
        for i in range(n):  # one at a time: the same row whatever stands beside it
            scores[i] = self.scorer(unit[i : i + 1])[0]
        probability, at = softmax(scores), np.arange(n)
        if isinstance(self.index, NumpyIndex):
            best = probability.argmax(axis=1)
            found = self._nearest_of(self.index, unit, best)
        else:
            similarity = self._similarity(unit)
            best = np.where(similarity > -1.0, probability, -1.0).argmax(axis=1)
            found = similarity[at, best]
        found = np.clip(found, 0.0, 1.0)
        return Matched(best, probability[at, best] * found, found)

    def _nearest_of(self, index: NumpyIndex, unit: Floats, route: Labels) -> Floats:
        """(n,) similarity of the nearest utterance of one route for each query."""
        found = np.empty(len(unit), dtype=np.float32)
        starts, stops = (np.searchsorted(self.owner, route, side) for side in ("left", "right"))
        for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            found[i] = index.similarities(unit[i], int(start), int(stop)).max()
        return found

    def _similarity(self, unit: Floats) -> Floats:
        """(n, r) by route, from the nearest utterances; -1 where a route has none among them."""
        ids, near = self.index.search(unit, NEIGHBOURS)
        found = np.full((len(unit), len(self.file.routes)), -1.0, dtype=np.float32)
        np.maximum.at(found, (np.arange(len(unit))[:, None], self.owner[ids]), near)
        return found

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) quality by the route that matches; the notes name it."""
        m = len(candidates)
        quality = np.empty((len(queries), m), dtype=np.float32)
        notes = []
        if queries:
            matched = self.match(self.encoder.encode([q.text for q in queries]))
            for i in range(len(queries)):
                route = self.file.routes[int(matched.route[i])]
                score, near = float(matched.score[i]), float(matched.similarity[i])
                fits = score > 0.0 and score >= route.threshold
                quality[i] = _quality(route.action if fits else self.file.none, candidates)
                notes.append(_note(route.name, fits, score, near, route.threshold))
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=quality,
            pair=PairRule("difference"),
            basis=("routes by example",) * m,
            notes=tuple(notes),
        )


def open_semantic(
    file: Path | str = SHIPPED,
    encoder: str | Encoder | None = None,
    index: str = "numpy",
    index_options: Mapping[str, Any] | None = None,
) -> SemanticRouter:
    """Read a file of routes, encode its utterances, and fit the head on them.

    Args:
        file: see `docs/guides/semantic.md`.
        encoder: by name, or one that is open; default: the file's, else `static-256`.
        index: `numpy`, `usearch`, `qdrant` or `pgvector`.
        index_options: of that index, such as `path` or `dsn`.

    Raises:
        SettingsError: the file cannot be used.
        UnknownNameError: no such encoder or index.
        MissingExtraError: the index's package is not installed.
        RouterError: the index's store cannot be reached.
    """
    read = read_routes(file)
    given = encoder or read.encoder or DEFAULT
    opened = open_encoder(given) if isinstance(given, str) else given
    store = open_index(index, opened.dimension, index_options)
    weights = read_head(Path(file), read, opened) if read.matching == LOGISTIC else None
    waits = index == "pgvector" or bool(getattr(opened, "waits", False))
    return make_semantic(read, opened, store, waits=waits, weights=weights)


def make_semantic(
    file: RouteFile,
    encoder: Encoder,
    index: Index,
    *,
    waits: bool = False,
    weights: Floats | None = None,
) -> SemanticRouter:
    """The router of routes that are already read.

    Args:
        file: the routes.
        encoder: of utterances and prompts.
        index: an empty one.
        waits: whether the index or the encoder is in another process.
        weights: (d, r) of a head fitted on these utterances; None fits what the file asks for.
    """
    rows, owner = _encoded(file, encoder)
    index.add(range(len(rows)), rows)
    scorer = (
        by_weights(weights)
        if weights is not None
        else MATCHERS[file.matching](rows, owner, len(file.routes))
    )
    return SemanticRouter(file, encoder, index, owner, scorer, waits=waits)


def fitted_weights(file: RouteFile, encoder: Encoder) -> Floats:
    """(d, r) weights of the head of a file of routes."""
    rows, owner = _encoded(file, encoder)
    return fit_head(rows, owner, len(file.routes))


def _encoded(file: RouteFile, encoder: Encoder) -> tuple[Floats, Labels]:
    """(u, d) utterances and (u,) their routes, ascending."""
    counts = [len(route.utterances) for route in file.routes]
    said = [text for route in file.routes for text in route.utterances]
    return encoder.encode(said), np.repeat(np.arange(len(counts)), counts)


def _quality(action: Action, candidates: Sequence[Candidate]) -> Floats:
    m = len(candidates)
    strength = np.linspace(1.0, 0.0, m, dtype=np.float32) if m > 1 else np.ones(1, np.float32)
    if action.scores:
        return np.asarray([action.scores[c.name] for c in candidates], dtype=np.float32)
    if action.win_rate is not None:
        return np.asarray(1.0 - action.win_rate * (1.0 - strength), dtype=np.float32)
    if action.use == "strong":
        return strength
    if action.use == "weak":
        return np.ones_like(strength)
    chosen = np.asarray([c.name == action.use for c in candidates], dtype=np.float32)
    return chosen if chosen.any() else strength  # put out by constraints: the strongest left


def _note(route: str, fits: bool, score: float, near: float, threshold: float) -> str:
    if fits:
        return f"route {route}: match {score:.3f}, similarity {near:.3f}"
    return (
        f"none of the routes: nearest is {route} with match {score:.3f} "
        f"(threshold {threshold:.3f}), similarity {near:.3f}"
    )
