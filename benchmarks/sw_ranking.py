"""Time one similarity-weighted ranking of 60,000 battles beside a per-request scikit-learn fit.

Synthetic battles of 64 models in 10 tiers; needs scikit-learn, which the package does not. Run:

    OMP_NUM_THREADS=1 python benchmarks/sw_ranking.py
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from turnout.routers.arrays import unit
from turnout.routers.elo import SimilarityRanking

BATTLES, WIDTH, MODELS = 60_000, 256, 64
ROUNDS = 8


def synthetic() -> tuple[np.ndarray, np.ndarray]:
    """(n, d) rows and (n, m) scores: one vote a prompt, a fifth of them ties."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATTLES, WIDTH)).astype(np.float32)
    a = rng.integers(0, MODELS, BATTLES)
    b = (a + rng.integers(1, MODELS, BATTLES)) % MODELS
    won = rng.random(BATTLES) < 1 / (1 + np.exp(-(a - b) * (0.05 + unit(x)[:, 0] / 4)))
    tie = rng.random(BATTLES) < 0.2
    score = np.full((BATTLES, MODELS), np.nan, dtype=np.float32)
    score[np.arange(BATTLES), a] = np.where(tie, 0.5, won)
    score[np.arange(BATTLES), b] = np.where(tie, 0.5, ~won)
    return x, score


def memory_mb() -> float:
    """Peak memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print times in turns, the largest difference in win rate, and peak memory."""
    x, score = synthetic()
    ranking = SimilarityRanking.fit(x, score, np.arange(BATTLES))
    k = len(ranking.rating_)
    queries = unit(np.random.default_rng(1).normal(size=(ROUNDS, WIDTH)))
    code = np.concatenate([ranking.code_, np.arange(k * k)])
    winner, loser = np.divmod(code, k)
    rows = np.eye(k)[winner] - np.eye(k)[loser]
    rows = np.vstack([rows, -rows])  # both classes must occur; the likelihood is the same
    label = np.repeat([1, 0], len(code))

    def plain(query: np.ndarray) -> np.ndarray:
        cosine = ranking.vectors_ @ query
        weight = np.exp(ranking.sharpness * (cosine - cosine.max()))[ranking.row_] * ranking.wins_
        weight = np.concatenate([weight, ranking.prior_.ravel()])
        fit = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8, max_iter=1000)
        return np.asarray(fit.fit(rows, label, sample_weight=np.tile(weight, 2)).coef_[0])

    def ours(query: np.ndarray) -> np.ndarray:
        return ranking.ratings(query[None])[0]

    ours(queries[0])
    peak = memory_mb()
    spent: dict[str, list[float]] = {"turnout": [], "scikit-learn": []}
    gap = 0.0
    for query in queries:
        found = []
        calls: tuple[tuple[str, Callable[[np.ndarray], np.ndarray], int], ...] = (
            ("turnout", ours, 10),
            ("scikit-learn", plain, 1),
        )
        for name, call, repeats in calls:
            for _ in range(repeats):
                started = time.perf_counter()
                rating = call(query)
                spent[name].append(1e3 * (time.perf_counter() - started))
            found.append(1 / (1 + np.exp(rating[None, :] - rating[:, None])))
        gap = max(gap, float(np.abs(found[0] - found[1]).max()))
    for name, times in spent.items():
        print(
            f"{name:13} median {np.median(times):7.1f} ms, p95 {np.quantile(times, 0.95):7.1f} ms"
        )
    ratio = np.median(spent["scikit-learn"]) / np.median(spent["turnout"])
    print(f"ratio of medians {ratio:.1f}; largest difference in win rate {gap:.1e}")
    print(
        f"{k} tiers, {len(ranking.code_):,} entries; peak of the process before scikit-learn's fits {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
