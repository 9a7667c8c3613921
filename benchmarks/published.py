"""What published scores tell of a model that the space has never seen, beside its price.

    python benchmarks/published.py --data DIR [--prompts 150]

DIR holds `outcomes/*.parquet`. Each model of two outcome sets and more is held out in turn, with every
model of its name's stem: prior, price line and the sets' lines come from the others. Its accuracy over
all of one set counts as published; predicted is that on each other set, and the error in accuracy is
averaged over them. Printed: the mean over models, with a 95% interval by a bootstrap over stems. The
factors of texts are the shipped artifact's, which were fitted with the model among hundreds, for all
ways alike.

On each set the logit of a model's accuracy is taken for a line in its vector times the set's mean factors;
a published score is one noisy reading of that line, and the prior is updated as by a Kalman filter.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from onboarding import family

from turnout import Candidate, open_router
from turnout.pricing import list_price
from turnout.routers.arrays import logit, sigmoid
from turnout.routers.priors import LEAST_PRICED, PricePrior
from turnout.routers.universal import Universal

Array = NDArray[np.float64]
LEAST, SURE = 50, 100
LEAST_MODELS = 8
"""Fewer models with a score do not make a benchmark's line."""
LEAST_NOISE = 0.15
"""Standard deviation of a published score in logits: prompts, samples and set-ups differ."""
_EDGE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """B benchmarks as lines over model vectors."""

    names: tuple[str, ...]
    factors_: Array
    """(B, K) mean factors of their prompts."""
    line_: Array
    """(B, 3) intercept, slope and standard deviation of the logit of a model's accuracy."""

    def expected(self, name: str, vector: Array) -> float:
        """The accuracy that a model is expected to have."""
        i = self.names.index(name)
        at = self.line_[i, 0] + self.line_[i, 1] * (self.factors_[i] @ vector)
        return float(sigmoid(np.asarray([at], dtype=np.float64))[0])

    def posterior(
        self, scores: Mapping[str, float], mean: Array, cov: Array
    ) -> tuple[Array, Array]:
        """(K,) mean and (K, K) covariance of a model, given published scores.

        Args:
            scores: benchmark → accuracy in [0, 1].
            mean: (K,) expected before.
            cov: (K, K)

        """
        found, wide = np.asarray(mean, np.float64), np.asarray(cov, np.float64)
        for name, score in scores.items():
            i = self.names.index(name)
            start, slope, noise = (float(v) for v in self.line_[i])
            along = slope * self.factors_[i].astype(np.float64)
            seen = float(logit(np.asarray([min(max(score, _EDGE), 1 - _EDGE)]))[0])
            with_score = wide @ along
            gain = with_score / (float(along @ with_score) + noise**2)
            found = found + gain * (seen - start - float(along @ found))
            wide = wide - np.outer(gain, with_score)
        return found.astype(np.float32), ((wide + wide.T) / 2).astype(np.float32)


def fit_benchmarks(
    names: Sequence[str], factors: Array, vectors: Array, accuracy: Array
) -> Benchmarks:
    """Lines by least squares, of the benchmarks that enough models ran.

    Args:
        names: of B benchmarks.
        factors: (B, K) mean factors of their prompts.
        vectors: (M, K) of models.
        accuracy: (B, M) in [0, 1], NaN where a model was not run.
    """
    kept, lines = [], []
    for i in range(len(names)):
        ran = np.isfinite(accuracy[i])
        x = np.asarray(vectors, np.float64)[ran] @ np.asarray(factors[i], np.float64)
        if ran.sum() < LEAST_MODELS or float(np.ptp(x)) == 0.0:
            continue
        y = logit(np.clip(accuracy[i][ran], _EDGE, 1 - _EDGE))
        slope, start = np.polyfit(x, y, 1)
        noise = float(np.sqrt(((y - start - slope * x) ** 2).sum() / (len(x) - 2)))
        kept.append(i)
        lines.append((start, slope, max(noise, LEAST_NOISE)))
    return Benchmarks(
        names=tuple(names[i] for i in kept),
        factors_=np.asarray([factors[i] for i in kept], dtype=np.float32),
        line_=np.asarray(lines, dtype=np.float32),
    )


def read(folder: Path, router: Universal, most: int) -> tuple[list[str], Array, Array, list[str]]:
    """Sets, their mean factors (S, K), accuracies (S, M) by key of the space, and the keys."""
    keys = [name for name in router.space.names if "@" not in name]
    place = {name: j for j, name in enumerate(keys)}
    sets, means, rows = [], [], []
    for file in sorted(folder.glob("*.parquet")):
        data = pq.read_table(file, columns=["prompt_id", "prompt", "model", "score"])
        prompts = sorted(set(data["prompt"].to_pylist()))
        chosen = np.random.default_rng(0).permutation(len(prompts))[:most]
        means.append(router.text([prompts[i] for i in chosen]).mean(axis=0))
        spelled, code = np.unique(data["model"].to_numpy(zero_copy_only=False), return_inverse=True)
        score = data["score"].to_numpy()
        accuracy = np.full(len(keys), np.nan)
        for i, name in enumerate(spelled):
            key = router.find(Candidate(name=str(name)))
            own = score[code == i]
            own = own[np.isfinite(own)]
            if key in place and len(own) >= LEAST:
                accuracy[place[key]] = own.mean()
        sets.append(file.stem)
        rows.append(accuracy)
    return sets, np.asarray(means, np.float64), np.asarray(rows), keys


def errors(j: int, fit: dict, out: dict[str, list[float]]) -> None:
    """Errors of one held-out model, by way, meaned over the sets that are predicted."""
    router, keys, means, accuracy = fit["router"], fit["keys"], fit["means"], fit["accuracy"]
    stems = np.asarray([family(k) for k in keys])
    others = np.flatnonzero(stems != stems[j])
    index = [router.space.names.index(keys[i]) for i in others]
    vectors = router.space.vectors_[index].astype(np.float64)
    sure = router.space.seen_[index] >= SURE
    mean, cov = (
        vectors[sure].mean(axis=0),
        np.cov(vectors[sure].T) + 1e-3 * np.eye(vectors.shape[1]),
    )
    usual = router.usual_factors.astype(np.float64)
    bench = fit_benchmarks(fit["sets"], means, vectors, accuracy[:, others])
    starts = {"mean of all": (mean, cov)}
    price = list_price(keys[j])
    prices = [(i, list_price(keys[o])) for i, o in enumerate(others)]
    known = [(i, p) for i, p in prices if p is not None]
    if price is not None and len(known) >= LEAST_PRICED:
        line = PricePrior.fit([p for _, p in known], vectors[[i for i, _ in known]] @ usual)
        found = line.vector(price, mean, cov, usual)
        if found is not None:
            starts["price"] = tuple(np.asarray(v, np.float64) for v in found)
    ran = [s for s in np.flatnonzero(np.isfinite(accuracy[:, j])) if fit["sets"][s] in bench.names]
    if len(ran) < 2:
        return
    for name, start in starts.items():
        got: dict[str, list[float]] = {
            name: [],
            f"{name} + one score": [],
            f"{name} + all others": [],
        }
        for target in ran:
            truth, rest = accuracy[target, j], [s for s in ran if s != target]
            got[name].append(abs(bench.expected(fit["sets"][target], start[0]) - truth))
            for source in rest:
                one = {fit["sets"][source]: float(accuracy[source, j])}
                post = bench.posterior(one, *start)
                got[f"{name} + one score"].append(
                    abs(bench.expected(fit["sets"][target], post[0]) - truth)
                )
            post = bench.posterior({fit["sets"][s]: float(accuracy[s, j]) for s in rest}, *start)
            got[f"{name} + all others"].append(
                abs(bench.expected(fit["sets"][target], post[0]) - truth)
            )
        for way, values in got.items():
            out.setdefault(way, []).append(float(np.mean(values)))
            fit["of"].setdefault(way, []).append(j)


def main() -> None:
    parser = argparse.ArgumentParser(description="Published scores as a prior.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=150, help="of a set, for its mean factors")
    args = parser.parse_args()
    router = open_router("universal")
    assert isinstance(router, Universal)
    sets, means, accuracy, keys = read(args.data / "outcomes", router, args.prompts)
    held = np.flatnonzero(np.isfinite(accuracy).sum(axis=0) >= 2)
    fit = {
        "router": router,
        "keys": keys,
        "means": means,
        "accuracy": accuracy,
        "sets": sets,
        "of": {},
    }
    out: dict[str, list[float]] = {}
    for j in held:
        errors(int(j), fit, out)
    report(fit, out, keys)


def report(fit: dict, out: dict[str, list[float]], keys: list[str]) -> None:
    rng = np.random.default_rng(0)
    for way, values in out.items():
        low, high = _interval(np.asarray(values), [family(keys[j]) for j in fit["of"][way]], rng)
        print(f"{way:<28} {np.mean(values):.4f} [{low:.4f} {high:.4f}]  {len(values)} models")
    for start in ("mean of all", "price"):
        for more in ("one score", "all others"):
            gain = np.asarray(out[start]) - np.asarray(out[f"{start} + {more}"])
            low, high = _interval(gain, [family(keys[j]) for j in fit["of"][start]], rng)
            print(f"{start}, gain by {more:<10} {gain.mean():+.4f} [{low:+.4f} {high:+.4f}]")


def _interval(values: Array, stems: list[str], rng: np.random.Generator) -> tuple[float, float]:
    names, code = np.unique(stems, return_inverse=True)
    sums, counts = np.bincount(code, values), np.bincount(code)
    draws = rng.integers(len(names), size=(4000, len(names)))
    low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
