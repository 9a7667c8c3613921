"""Shrinking `universal` far from what it was fitted on: gates learned with sources left out, nested.

    python benchmarks/near_far.py --data folder [--keep folder] [--inside 3]

The folder is that of `benchmarks/quality.py`. For each source held out whole, everything is learned on
the others: of each of them prompts that a fit had not seen though it saw the source ("near", a fifth
held out), and all train prompts by a fit without that source ("far"). A logistic gate tells the two
apart by distances; how much the prediction moves by it is what makes the Brier score least, near
sources counting `--inside` times. Then the source that was held out is predicted, once. Fits: each
source alone left out, each pair, and these with a fifth of the prompts left out; `--keep` stores them.
Inside sources: dev prompts, by fits and a gate that saw the train part of all. Intervals are 95%, by a
bootstrap over groups; the fit on all sources has 78 companions and takes a quarter of an hour.
"""

# ruff: noqa: E402 - threads and the path must be set before the imports

from __future__ import annotations

import argparse
import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from build_pretrained import prepare
from pretrained.abilities import fit_scale
from pretrained.keyed import Keyed, entry_scores, key_scores
from pretrained.outcomes import Cells
from pretrained.universal import STRONG_SHARE, fit_factors, fit_rows, fit_space
from universal import apgr, bootstrap, pairs

from turnout.data.groups import group_folds
from turnout.encoders.opening import open_encoder
from turnout.routers.arrays import sigmoid, unit
from turnout.routers.inputs import RawRows
from turnout.routers.space import fit_vector

LEAST_KNOWN = 50
ROWS = 400
"""Drawn from a source at most, to learn the gate."""
DIMENSIONS = 64
STEEP, MIDDLE = (0.5, 1.0, 1.5, 2.0), (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SHARED, REST = (0.2, 0.35, 0.5, 0.7), (0.0, 0.1, 0.3)
WHOLE = (1.0, 100.0, 1.0, 1.0)
"""Of a gate that is always open: the prediction as it ships."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One fit of the space without some sources."""

    factors: np.ndarray
    """(n, K) of all prompts."""
    far: np.ndarray
    """(n, 3) distances of all prompts to those it was fitted on."""
    names: tuple[str, ...]
    vectors: np.ndarray
    """(M, K)"""
    known: np.ndarray
    """(M,) mean score."""
    usual: np.ndarray
    """(K,) mean factors of what it was fitted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some prompts of a source by one fit, m models: logits are ability + shared + rest."""

    far: np.ndarray
    """(k, 3)"""
    ability: np.ndarray
    """(m,)"""
    shared: np.ndarray
    """(k,)"""
    rest: np.ndarray
    """(k, m)"""
    known: np.ndarray
    """(m,)"""
    score: np.ndarray
    """(k, m), NaN where missing."""

    def quality(self, gate: np.ndarray, shrunk: tuple[float, ...]) -> np.ndarray:
        """(k, m) by a (k,) gate and how steep, where, how much is left of shared and rest far off."""
        steep, middle, shared, rest = shrunk
        open_ = sigmoid(steep * gate + middle)
        a, b = open_ + (1.0 - open_) * shared, open_ + (1.0 - open_) * rest
        return sigmoid(self.ability + (a * self.shared)[:, None] + b[:, None] * self.rest)

    def error(self, quality: np.ndarray) -> float:
        seen = np.isfinite(self.score)
        return float(((quality - self.score)[seen] ** 2).mean())


class Bench:
    """The outcomes, and fits that are made once."""

    def __init__(self, data: Path, keep: Path | None) -> None:
        self.cells: Cells = prepare(data)[0]
        self.raw = RawRows.of(open_encoder(), self.cells.prompts, mend=False)
        self.sound = fit_scale(self.cells).sound
        self.score = entry_scores(self.cells)
        self.sources = np.unique(self.cells.outcome_set).tolist()
        _, group = np.unique(self.cells.group, return_inverse=True)
        self.fold = group_folds(group.astype(np.intp), 5, seed=0)
        self.keep = keep
        self._fits: dict[tuple[tuple[str, ...], bool], Fit] = {}

    def fit(self, held: tuple[str, ...], *, part: bool = False) -> Fit:
        """Without the sources held; with `part` without the first fold of the others too."""
        held = tuple(sorted(held))
        if (held, part) not in self._fits:
            arrays = self._arrays(held, part)
            use = arrays["use"]
            factors = arrays["factors"].astype(np.float64)
            self._fits[held, part] = Fit(
                factors=factors,
                far=distances(arrays["rows"], arrays["centres"], use, self.cells.outcome_set),
                names=tuple(arrays["names"].tolist()),
                vectors=arrays["vectors"].astype(np.float64),
                known=arrays["known"],
                usual=factors[use].mean(axis=0),
            )
        return self._fits[held, part]

    def _arrays(self, held: tuple[str, ...], part: bool) -> dict[str, np.ndarray]:
        path = self.keep and self.keep / f"{'+'.join(held) or 'all'}{'.part' if part else ''}.npz"
        if path and path.exists():
            with np.load(path) as found:
                return {k: found[k] for k in found.files}
        cells, away = self.cells, np.isin(self.cells.outcome_set, held)
        use = cells.train & ~away & ~(part & (self.fold == 0))
        score = np.where(away[:, None], np.nan, self.score)
        made = fit_rows(self.raw, use, alter=False)
        found_factors = fit_factors(made.rows, score, use)
        factors = found_factors.of_rows(made.rows)
        outside = self.sound & ~np.isin(cells.entry_set, held)
        elsewhere = {
            str(n): np.flatnonzero((cells.entry_name == n) & outside)
            for n in np.unique(cells.entry_name)
        }
        names = tuple(
            n for n, e in elsewhere.items() if np.isfinite(score[use][:, e]).sum() >= LEAST_KNOWN
        )
        keys = Keyed(
            names=tuple(f"{i}:{n}" for i, n in enumerate(names)),
            basis=names,
            entries=tuple(elsewhere[n] for n in names),
        )
        arrays = {
            "factors": factors,
            "rows": made.rows.astype(np.float16),
            "centres": found_factors.centres_.astype(np.float16),
            "names": np.asarray(names),
            "vectors": fit_space(factors, score, use, keys).vectors_,
            "known": np.nanmean(key_scores(score, keys)[use], axis=0),
            "use": use,
        }
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **arrays)
        return arrays

    def part(self, fit: Fit, source: str, rows: np.ndarray) -> Part:
        """Some rows of a source, by its models that the fit knows."""
        mine = np.flatnonzero((self.cells.entry_set == source) & self.sound)
        place = {name: i for i, name in enumerate(fit.names)}
        mine = np.asarray([e for e in mine if self.cells.entry_name[e] in place], dtype=int)
        at = [place[self.cells.entry_name[e]] for e in mine]
        vectors = fit.vectors[at]
        return split(fit, rows, vectors, fit.known[at], self.score[np.ix_(rows, mine)])

    def learn(self, held: tuple[str, ...], inside: float) -> tuple[np.ndarray, tuple[float, ...]]:
        """Gate and shrinking, from all sources but those held."""
        rng = np.random.default_rng(0)
        others = [s for s in self.sources if s not in held]
        cells, near, far = self.cells, [], []
        for source in others:
            mine = cells.train & (cells.outcome_set == source)
            rows = rng.permutation(np.flatnonzero(mine & (self.fold == 0)))[:ROWS]
            near.append(self.part(self.fit(held, part=True), source, rows))
            rows = rng.permutation(np.flatnonzero(mine))[:ROWS]
            far.append(self.part(self.fit((*held, source)), source, rows))
        gate = fit_gate(near, far)
        return gate, fit_shrinking(near, far, gate, inside)


def split(
    fit: Fit, rows: np.ndarray, vectors: np.ndarray, known: np.ndarray, score: np.ndarray
) -> Part:
    off = fit.factors[rows] - fit.usual
    middle = fit.vectors.mean(axis=0)
    return Part(
        far=fit.far[rows],
        ability=vectors @ fit.usual,
        shared=off @ middle,
        rest=off @ (vectors - middle).T,
        known=known,
        score=score,
    )


def distances(
    rows: np.ndarray, centres: np.ndarray, use: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """(n, 3) Mahalanobis distances in the first dimensions of the rows in use: to the nearest kind of
    prompts, to the nearest source, and the latter less the distance to the middle of all (Ren et
    al. 2021, relative Mahalanobis distance)."""
    rows = rows.astype(np.float64)
    kind = (unit(rows) @ unit(centres.astype(np.float64)).T).argmax(axis=1)
    middle = rows[use].mean(axis=0)
    axes = np.linalg.eigh(np.cov((rows[use] - middle).T))[1][:, ::-1][:, :DIMENSIONS]
    z = (rows - middle) @ axes
    _, place = np.unique(source, return_inverse=True)
    to_kind, to_source = _nearest(z, kind, use), _nearest(z, place, use)
    to_all = np.sqrt(((z / z[use].std(axis=0)) ** 2).sum(axis=1))
    return np.stack([to_source - to_all, to_kind, to_source], axis=1)


def _nearest(z: np.ndarray, label: np.ndarray, use: np.ndarray) -> np.ndarray:
    """(n,) Mahalanobis distance to the nearest mean, by the covariance within the labels in use."""
    known, at = np.unique(label[use], return_inverse=True)
    means = np.stack([z[use][at == i].mean(axis=0) for i in range(len(known))])
    within = np.cov((z[use] - means[at]).T) + 1e-4 * np.eye(z.shape[1])
    white = np.linalg.cholesky(np.linalg.inv(within))
    a, b = z @ white, means @ white
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return np.sqrt(np.maximum(square, 0.0).min(axis=1))


def fit_gate(near: list[Part], far: list[Part]) -> np.ndarray:
    """(2, 4) weights and constant of the logit of "near", over the scale of the distances."""
    x = np.concatenate([p.far for p in (*near, *far)])
    y = np.concatenate(
        [np.full(len(p.far), float(i < len(near))) for i, p in enumerate((*near, *far))]
    )
    middle, scale = x.mean(axis=0), x.std(axis=0)
    z = np.concatenate([(x - middle) / scale, np.ones((len(x), 1))], axis=1)
    weights = fit_vector(z, y, np.zeros(4), 10.0 * np.eye(4))[0].astype(np.float64)
    return np.stack([weights, [*middle, 0.0], [*scale, 1.0]])


def opened(gate: np.ndarray, far: np.ndarray) -> np.ndarray:
    """(k,) logit of "near"."""
    return ((far - gate[1, :3]) / gate[2, :3]) @ gate[0, :3] + gate[0, 3]


def fit_shrinking(
    near: list[Part], far: list[Part], gate: np.ndarray, inside: float
) -> tuple[float, ...]:
    """Of all settings that with the least Brier score, each source the same."""
    weighed = [(p, inside) for p in near] + [(p, 1.0) for p in far]
    made = [(p, opened(gate, p.far), w) for p, w in weighed if np.isfinite(p.score).any()]
    return min(
        itertools.product(STEEP, MIDDLE, SHARED, REST),
        key=lambda s: sum(w * p.error(p.quality(g, s)) for p, g, w in made),
    )


def lift(part: Part, quality: np.ndarray, draws: list[np.ndarray]) -> tuple[float, float, float]:
    """APGR less the zero router's by the order that ships, with its interval."""
    strong, weak = pairs(np.nanmean(part.score, axis=0))
    gain = np.nan_to_num(part.score[:, strong] - part.score[:, weak])
    order = STRONG_SHARE * quality[:, strong] - quality[:, weak]
    low, high = np.nanpercentile([apgr(order, gain, at) - 0.5 for at in draws], [2.5, 97.5])
    return apgr(order, gain, np.arange(len(gain))) - 0.5, float(low), float(high)


def off(part: Part, quality: np.ndarray) -> np.ndarray:
    """(k,) squared errors summed over models."""
    seen = np.isfinite(part.score)
    return np.where(seen, (quality - np.nan_to_num(part.score)) ** 2, 0.0).sum(axis=1)


def skill(part: Part, quality: np.ndarray, draws: list[np.ndarray]) -> tuple[float, float, float]:
    """Of the Brier score over each model's mean as the other sources know it, with its interval."""
    mine, mean = off(part, quality), off(part, np.broadcast_to(part.known, quality.shape))
    low, high = np.percentile([1 - mine[at].sum() / mean[at].sum() for at in draws], [2.5, 97.5])
    return 1 - mine.sum() / mean.sum(), float(low), float(high)


def told(value: tuple[float, float, float]) -> str:
    return f"{value[0]:+.3f} [{value[1]:+.3f} {value[2]:+.3f}]"


def left_out(bench: Bench, inside: float) -> None:
    """Each source held out whole: as it ships, by the gate, and by a gate that is never wrong."""
    print(
        "| source | open | skill: as it ships | gate | always shrunk | lift: as it ships | gate | always shrunk |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for source in bench.sources:
        rows = np.flatnonzero(bench.cells.outcome_set == source)
        part = bench.part(bench.fit((source,)), source, rows)
        gate, shrunk = bench.learn((source,), inside)
        near = opened(gate, part.far)
        ways = [
            part.quality(near, WHOLE),
            part.quality(near, shrunk),
            part.quality(near, (0.0, -100.0, *shrunk[2:])),
        ]
        draws = bootstrap(bench.cells.group[rows])
        cell = [told(skill(part, q, draws)) for q in ways] + [
            told(lift(part, q, draws)) for q in ways
        ]
        mean = sigmoid(shrunk[0] * near + shrunk[1]).mean()
        print(f"| {source} | {mean:.2f} | {' | '.join(cell)} | {shrunk}", flush=True)


def within(bench: Bench, inside: float) -> None:
    """Dev prompts of sources that were fitted on, each model as its source ran it."""
    fit, cells = bench.fit(()), bench.cells
    gate, shrunk = bench.learn((), inside)
    print(f"\ngate of all sources {np.round(gate[0], 2).tolist()}, shrinking {shrunk}")
    print(
        "\n| source | open | Brier as it ships | gate | gate - as it ships |\n|---|---|---|---|---|"
    )
    gaps, levels = [], []
    for source in bench.sources:
        rows = np.flatnonzero((cells.outcome_set == source) & ~cells.train)
        ran = np.isfinite(bench.score[cells.train]).any(axis=0) & bench.sound
        mine = np.flatnonzero((cells.entry_set == source) & ran)
        keys = Keyed(
            names=tuple(f"e{e}" for e in mine),
            basis=tuple(f"e{e}" for e in mine),
            entries=tuple(np.asarray([e]) for e in mine),
        )
        space = fit_space(fit.factors.astype(np.float32), bench.score, cells.train, keys)
        known = np.nanmean(bench.score[cells.train][:, mine], axis=0)
        score = bench.score[np.ix_(rows, mine)]
        part = split(fit, rows, space.vectors_.astype(np.float64), known, score)
        near = opened(gate, part.far)
        ways = [off(part, part.quality(near, s)) for s in (WHOLE, shrunk)]
        count = np.isfinite(part.score).sum(axis=1)
        draws = bootstrap(cells.group[rows])
        gap = [(ways[1] - ways[0])[at].sum() / count[at].sum() for at in draws]
        level = [w.sum() / count.sum() for w in ways]
        low, high = np.percentile(gap, [2.5, 97.5])
        mean = sigmoid(shrunk[0] * near + shrunk[1]).mean()
        print(
            f"| {source} | {mean:.2f} | {level[0]:.4f} | {level[1]:.4f} | "
            f"{level[1] - level[0]:+.4f} [{low:+.4f} {high:+.4f}] |",
            flush=True,
        )
        gaps.append(gap)
        levels.append(level)
    low, high = np.percentile(np.mean(gaps, axis=0), [2.5, 97.5])
    whole, gated = np.mean(levels, axis=0)
    print(f"| mean | | {whole:.4f} | {gated:.4f} | {gated - whole:+.4f} [{low:+.4f} {high:+.4f}] |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="folder for finished fits, some 15 MB each")
    parser.add_argument("--inside", type=float, default=3.0, help="weight of sources fitted on")
    args = parser.parse_args()
    bench = Bench(args.data, args.keep)
    left_out(bench, args.inside)
    within(bench, args.inside)


if __name__ == "__main__":
    main()
