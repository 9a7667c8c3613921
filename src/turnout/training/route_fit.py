"""Fit a file of routes: how to match, thresholds, and the score of each model by route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turnout.data.lines import at, json_lines
from turnout.data.table import OutcomeTable
from turnout.encoders.base import Encoder
from turnout.errors import DataError
from turnout.routers.index.local import NumpyIndex
from turnout.routers.matching import MATCHERS
from turnout.routers.routes import NONE, Action, RouteFile
from turnout.routers.semantic import Matched, SemanticRouter, make_semantic
from turnout.types import Floats

LEAST_LABELS = 20
OWN_THRESHOLD_FROM = 10
"""Prompts nearest to a route from which it gets a threshold of its own; others share one."""
FOLDS = 5
PRIOR = 5.0
"""Prompts that a model's overall mean counts for in its score on a route."""

Labels = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class FittedRoutes:
    """Fitted routes, and how well they do on prompts that were held out."""

    file: RouteFile
    accuracy: dict[str, float]
    """In-scope accuracy of each way of matching, without thresholds."""
    in_scope: float
    """Out of fold: share of the prompts of a route that get it."""
    none_recall: float
    """Out of fold: share of the prompts of no route that get none."""
    prompts: int


def read_labelled(path: Path, file: RouteFile) -> tuple[list[str], Labels]:
    """Prompts and their routes from JSONL with `prompt` and `route`.

    Returns:
        n prompts and (n,) places in `file.routes`; -1 for `none`. Prompts that are utterances of
        the file are left out: they would match themselves.

    Raises:
        DataError: no such route, no text, too few prompts, none of no route or of any.
    """
    places = {route.name: i for i, route in enumerate(file.routes)} | {NONE: -1}
    known = {text for route in file.routes for text in route.utterances}
    prompts, labels = [], []
    for line, row in json_lines(path):
        prompt, name = row.get("prompt"), row.get("route")
        if not isinstance(prompt, str) or not prompt.strip():
            raise DataError(at(path, line, "prompt"), prompt, "give a text")
        if not isinstance(name, str) or name not in places:
            listed = ", ".join(places)
            raise DataError(at(path, line, "route"), name, f"give one of: {listed}")
        if prompt not in known:
            prompts.append(prompt)
            labels.append(places[name])
    found = np.asarray(labels, dtype=np.intp)
    if len(found) < LEAST_LABELS:
        remedy = f"give at least {LEAST_LABELS} labelled prompts that are not utterances"
        raise DataError("prompts", len(found), remedy)
    if not (found < 0).any() or not (found >= 0).any():
        remedy = f"thresholds need prompts labelled {NONE!r} and prompts labelled with a route"
        raise DataError("route", path.name, remedy)
    return prompts, found


def fit_thresholds(
    file: RouteFile, encoder: Encoder, prompts: Sequence[str], labels: Labels, *, seed: int = 0
) -> FittedRoutes:
    """Choose the way of matching and the threshold of each route.

    Args:
        file: routes; their thresholds are replaced.
        encoder: that will serve.
        prompts: n texts, none of them an utterance.
        labels: (n,) place of each one's route, -1 for none.
        seed: of the folds.
    """
    rows, inside = encoder.encode(prompts), labels >= 0
    matches: dict[str, Matched] = {}
    accuracy: dict[str, float] = {}
    for name in MATCHERS:
        matches[name] = _router(replace(file, matching=name), encoder).match(rows)
        accuracy[name] = float((matches[name].route == labels)[inside].mean())
    best = max(accuracy, key=lambda name: accuracy[name])  # the first of equals: the head
    matched = matches[best]
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    decided = np.empty(len(labels), dtype=np.intp)
    for f in range(FOLDS):
        held = fold == f
        limits = thresholds(_part(matched, ~held), labels[~held], len(file.routes))
        decided[held] = decide(_part(matched, held), limits)
    final = thresholds(matched, labels, len(file.routes))
    routes = tuple(
        replace(route, threshold=round(float(limit), 4))
        for route, limit in zip(file.routes, final, strict=True)
    )
    return FittedRoutes(
        file=replace(file, routes=routes, matching=best, encoder=encoder.name),
        accuracy=accuracy,
        in_scope=float((decided == labels)[inside].mean()),
        none_recall=float((decided == labels)[~inside].mean()),
        prompts=len(labels),
    )


def thresholds(matched: Matched, labels: Labels, routes: int) -> Floats:
    """(r,) thresholds that decide the most prompts rightly; of equals the one in the middle.

    A route to which few prompts are nearest takes the threshold that is best over all.
    """
    right = matched.route == labels
    shared = _best(matched.score, right, labels < 0)
    found = np.full(routes, shared, dtype=np.float32)
    for r in range(routes):
        own = matched.route == r
        if own.sum() >= OWN_THRESHOLD_FROM and right[own].any() and (labels[own] < 0).any():
            found[r] = _best(matched.score[own], right[own], labels[own] < 0)
    return found


def decide(matched: Matched, limits: Floats) -> Labels:
    """(n,) routes; -1 where the match score is below the route's threshold."""
    fits = (matched.score > 0.0) & (matched.score >= limits[matched.route])
    return np.where(fits, matched.route, -1)


def _best(score: Floats, right: NDArray[np.bool_], none: NDArray[np.bool_]) -> float:
    """The cut that keeps the most right matches and refuses the most prompts of no route."""
    values = np.unique(score)
    cuts = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
    won = np.asarray(
        [(right & (score >= cut)).sum() + (none & (score < cut)).sum() for cut in cuts]
    )
    best = np.flatnonzero(won == won.max())
    return float(cuts[best[len(best) // 2]])


def fit_scores(file: RouteFile, encoder: Encoder, table: OutcomeTable) -> RouteFile:
    """The routes with the mean score of each model on the prompts that match.

    A model's overall mean counts for `PRIOR` prompts, so that a route that few prompts match says
    little. Every action of the file is replaced.
    """
    router = _router(file, encoder)
    limits = np.asarray([route.threshold for route in file.routes], dtype=np.float32)
    route = decide(router.match(encoder.encode(table.prompts)), limits)

    def scores(place: int) -> Action:
        part = table.score[route == place]
        seen = np.isfinite(part).sum(axis=0)
        mean = np.nanmean(table.score, axis=0)
        found = (np.nansum(part, axis=0) + PRIOR * mean) / (seen + PRIOR)
        named = zip(table.models, np.clip(found, 0.0, 1.0).tolist(), strict=True)
        return Action(scores={model: round(value, 4) for model, value in named})

    routes = tuple(replace(r, action=scores(i)) for i, r in enumerate(file.routes))
    return replace(file, routes=routes, none=scores(-1), encoder=encoder.name)


def _router(file: RouteFile, encoder: Encoder) -> SemanticRouter:
    return make_semantic(file, encoder, NumpyIndex(encoder.dimension))


def _part(matched: Matched, keep: NDArray[np.bool_]) -> Matched:
    return Matched(matched.route[keep], matched.score[keep], matched.similarity[keep])
