"""Fit what `universal` expects of prompts whose kind it has not seen: every source left out in turn.

Difficulties of a Rasch model, one scale for all sources, by a ridge on the rows and the prototypes'
shares in which every source weighs the same. Each source is predicted without itself; slope and
errors of these predictions are those of a source that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Scale, link, within_sets
from pretrained.outcomes import Cells
from turnout.routers.abroad import GRID, Abroad
from turnout.routers.arrays import sigmoid
from turnout.routers.kinds import Kinds
from turnout.types import Floats

ONE_TEMPLATE = "lineage_bench"
"""Its difficulty is its size: as elsewhere it counts for abilities alone."""
PENALTY = 0.03
"""Of the mean eigenvalue; chosen with sources left out, where .01 to .3 hardly differ."""
SHARE = 0.2
"""Of the space in the average far from all kinds; chosen with sources left out."""
LEAST_OUTCOMES = 50
VOTE = 2.0
"""Weight of the prototypes' shares beside the rows, as in the map to factors."""
DIMENSIONS = 64
PSEUDO_ROWS = 400.0
"""Of the covariance within all sources, in that of each."""
KNOTS = 201
LEAST_RANK = 0.02

Vector = NDArray[np.float64]


def fit_linked(cells: Cells, use: NDArray[np.bool_], sound: NDArray[np.bool_]) -> Scale:
    """The scale of some prompts, linked over the sources: those that are left out leave no trace in it.

    Abilities are of names with 50 outcomes and more.
    """
    ran = np.bincount(cells.by[use[cells.at]], minlength=len(cells.entry_set))
    alpha, difficulty = within_sets(cells, use)
    keep = sound & (ran > 0)
    count = ran.astype(np.float64)
    error = np.full(len(ran), np.nan)
    ability, shift, error[keep] = link(
        cells.entry_set[keep], cells.entry_name[keep], alpha[keep], count[keep]
    )
    for name in np.unique(cells.outcome_set[use]).tolist():
        difficulty[cells.outcome_set == name] -= shift.get(name, np.nan)
    names, place = np.unique(cells.entry_name[keep], return_inverse=True)
    total = np.bincount(place, count[keep])
    known = {str(n) for n, c in zip(names, total, strict=True) if c >= LEAST_OUTCOMES}
    ability = {n: a for n, a in ability.items() if n in known}
    return Scale(ability=ability, difficulty=difficulty, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Difficulty of texts, and the chance of success by ability less difficulty."""

    weights: Floats
    """(d + 1,)"""
    chance: Floats
    """(181,) on `GRID`."""


def fit_head(
    x: Floats, scale: Scale, source: NDArray[np.str_], *, penalty: float = PENALTY
) -> Head:
    """Ridge on difficulty, its slope and its errors with each source left out.

    Args:
        x: (n, d) numbers of the texts.
        scale: of the prompts in use.
        source: (n,)
        penalty: of the mean eigenvalue.

    Raises:
        ValueError: fewer than two sources.
    """
    use = np.isfinite(scale.difficulty) & (source != ONE_TEMPLATE)
    places = np.unique(source[use]).tolist()
    if len(places) < 2:
        raise ValueError(f"sources {places}: a source can be left out of two or more")
    at = {s: np.flatnonzero(use & (source == s)) for s in places}
    middle = float(np.mean([scale.difficulty[i].mean() for i in at.values()]))
    sums = {s: _sums(x[i], scale.difficulty[i] - middle) for s, i in at.items()}
    gram = np.sum([g for g, _ in sums.values()], axis=0)
    pull = np.sum([c for _, c in sums.values()], axis=0)
    ridge = np.full(len(pull), penalty * np.trace(gram[:-1, :-1]) / (len(pull) - 1))
    ridge[-1] = 1e-9
    found, true, weight = [], [], []
    for s, i in at.items():
        less = np.linalg.solve(gram - sums[s][0] + np.diag(ridge), pull - sums[s][1])
        found.append(_with_one(x[i]) @ less)
        true.append(scale.difficulty[i] - middle)
        weight.append(np.full(len(i), 1.0 / len(i)))
    slope, constant, chance = _calibrated(*map(np.concatenate, (found, true, weight)))
    weights = slope * np.linalg.solve(gram + np.diag(ridge), pull)
    weights[-1] += constant + middle
    return Head(weights=weights.astype(np.float32), chance=chance)


def _with_one(x: Floats) -> Vector:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)


def _sums(x: Floats, y: Vector) -> tuple[Vector, Vector]:
    """Moments of a source, which weighs 1."""
    rows = _with_one(x)
    return rows.T @ rows / len(rows), rows.T @ y / len(rows)


def _calibrated(found: Vector, true: Vector, weight: Vector) -> tuple[float, float, Floats]:
    """Slope and constant of the true on the found, and the mean chance over what is left."""
    middle, mean = np.average(found, weights=weight), np.average(true, weights=weight)
    off = found - middle
    slope = np.average(off * (true - mean), weights=weight) / np.average(off**2, weights=weight)
    left = true - mean - slope * off
    order = np.argsort(left)
    rank = np.cumsum(weight[order]) / weight.sum()
    even = np.interp((np.arange(1000) + 0.5) / 1000, rank, left[order])
    chance = sigmoid(GRID[:, None] - even[None]).mean(axis=1)
    return float(slope), float(mean - slope * middle), chance.astype(np.float32)


def fit_kinds(
    rows: Floats,
    source: NDArray[np.str_],
    use: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> Kinds:
    """Densities of the sources, and what they say, learned with sources left out.

    Near are rows that were held out of a source that the densities know, far those of a source that
    they do not; every source weighs the same in both, and far in all as much as near.

    Args:
        rows: (n, d)
        source: (n,)
        use: (n,) to fit on.
        held: (n,) a part of them, by whole groups, that is left out to see what is near.
    """
    kinds = fit_densities(rows, source, use)
    places = np.unique(source[use]).tolist()
    part = fit_densities(rows, source, use & ~held, kinds.project_).density(rows)
    near = [part[use & held & (source == s)] for s in places]
    near = [found for found in near if len(found)]
    far = []
    for s in places:
        without = fit_densities(rows, source, use & (source != s), kinds.project_)
        far.append(without.density(rows[use & (source == s)]))
    even = np.linspace(0.0, 1.0, KNOTS)
    knots = np.quantile(np.concatenate([np.quantile(found, even) for found in near]), even)
    x = np.concatenate([_ranked(np.interp(found, knots, even)) for found in (*near, *far)])
    label = np.repeat([1.0, 0.0], [sum(map(len, near)), sum(map(len, far))])
    weight = np.concatenate(
        [np.full(len(f), len(x) / len(f) / len(g)) for g in (near, far) for f in g]
    )
    beta = _logistic(x, label, weight)
    return replace(
        kinds,
        knots_=knots.astype(np.float32),
        near_=sigmoid(_ranked(even) @ beta).astype(np.float32),
    )


def fit_densities(
    rows: Floats,
    source: NDArray[np.str_],
    use: NDArray[np.bool_],
    project: Floats | None = None,
) -> Kinds:
    """Gaussians of the sources in use and of all their rows.

    By principal axes where `project` is not given. Near is yet all: there is no table of densities.
    """
    if project is None:
        values = rows[use].astype(np.float64)
        axes = np.linalg.eigh(np.cov(values.T))[1]
        project = axes[:, ::-1][:, :DIMENSIONS].astype(np.float32)
    z = (rows[use] @ project).astype(np.float64)
    label = source[use]
    parts = [z[label == s] for s in np.unique(label)]
    spread = [(p - p.mean(axis=0)).T @ (p - p.mean(axis=0)) for p in parts]
    within = np.sum(spread, axis=0) / len(z)
    made = [
        _gaussian(p.mean(axis=0), (c + PSEUDO_ROWS * within) / (len(p) + PSEUDO_ROWS))
        for p, c in zip(parts, spread, strict=True)
    ]
    made.append(_gaussian(z.mean(axis=0), np.cov(z.T)))
    whiten, centre, volume = (np.stack(v).astype(np.float32) for v in zip(*made, strict=True))
    return Kinds(
        project_=project,
        whiten_=whiten,
        centre_=centre,
        volume_=volume,
        knots_=np.zeros(1, np.float32),
        near_=np.ones(1, np.float32),
    )


def _gaussian(mean: Vector, cov: Vector) -> tuple[Vector, Vector, Vector]:
    """Whitening, mean in its coordinates, and log of its determinant."""
    lower = np.linalg.cholesky(cov + 1e-6 * np.trace(cov) / len(cov) * np.eye(len(cov)))
    whiten = np.linalg.inv(lower).T
    return whiten, mean @ whiten, np.asarray(-np.log(np.diag(lower)).sum())


def _ranked(rank: Vector) -> Vector:
    """(n, 3) what the chance to be near is a logistic function of, from ranks among near ones."""
    return np.stack([rank, np.log(rank + LEAST_RANK), np.ones(len(rank))], axis=1)


def _logistic(x: Vector, label: Vector, weight: Vector) -> Vector:
    """Weights by Newton's method; a little ridge."""
    beta = np.zeros(x.shape[1])
    ridge = 1e-3 * np.eye(len(beta))
    for _ in range(60):
        p = sigmoid(x @ beta)
        bend = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        step = np.linalg.solve(bend, x.T @ (weight * (label - p)) - ridge @ beta)
        beta = beta + np.clip(step, -2.0, 2.0)
    return beta


def numbers(rows: Floats, shares: Floats) -> Floats:
    """(n, d + p) what difficulty is regressed on."""
    return np.concatenate([rows, VOTE * shares], axis=1)


def abroad(
    head: Head, kinds: Kinds, scale: Scale, keys: Mapping[str, str], *, share: float = SHARE
) -> Abroad:
    """The part of the artifact; `keys` are key of the space → canonical name."""
    kept = {key: scale.ability[name] for key, name in keys.items() if name in scale.ability}
    d = kinds.project_.shape[0]
    weights = head.weights.copy()
    weights[d:-1] *= VOTE
    return Abroad(
        names=tuple(kept),
        ability_=np.asarray(list(kept.values()), dtype=np.float32),
        difficulty_=weights,
        chance_=head.chance,
        share_=np.asarray(share, dtype=np.float32),
        kinds=kinds,
    )
