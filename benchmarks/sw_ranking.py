"""Time one similarity-weighted ranking of 60,000 battles beside a per-request scikit-learn fit.

Synthetic battles; needs scikit-learn, which the package does not. Run:

    OMP_NUM_THREADS=1 python benchmarks/sw_ranking.py
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from turnout.routers.elo import Battles

BATTLES, WIDTH, TIERS = 60_000, 256, 10


def timed(call: Callable[[], object], repeats: int) -> str:
    """Median and 95th percentile in milliseconds."""
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        spent.append(1e3 * (time.perf_counter() - started))
    return f"median {np.median(spent):.1f} ms, p95 {np.quantile(spent, 0.95):.1f} ms"


def main() -> None:
    """Print times, the largest difference in win rate, and peak memory."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATTLES, WIDTH)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    a, b = rng.integers(0, TIERS, BATTLES), rng.integers(0, TIERS, BATTLES)
    first = rng.random(BATTLES) < 1 / (1 + np.exp(-(a - b) * (0.3 + x[:, 0])))
    won, lost = np.where(first, a, b), np.where(first, b, a)
    tie = rng.random(BATTLES) < 0.2
    known = Battles.of(x, won, lost, tie, TIERS)
    query = x[0]
    ours = timed(lambda: known.strengths(query), 50)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step = np.eye(TIERS)[won] - np.eye(TIERS)[lost]
    rows = np.vstack([step, np.where(tie[:, None], step, -step)])  # as RouteLLM doubles them
    label = np.repeat([1, 0], BATTLES)

    def plain() -> np.ndarray:
        cosine = x @ query
        weight = np.tile(10.0 ** (1.0 + cosine / cosine.max()), 2)
        fit = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8, max_iter=1000)
        return np.asarray(fit.fit(rows, label, sample_weight=weight).coef_[0])

    theirs = timed(plain, 5)
    rates = [1 / (1 + np.exp(t[None, :] - t[:, None])) for t in (known.strengths(query), plain())]
    print(f"turnout      {ours}; peak memory of the process so far {peak:.0f} MB")
    print(f"scikit-learn {theirs}")
    print(f"largest difference in win rate {np.abs(rates[0] - rates[1]).max():.1e}")


if __name__ == "__main__":
    main()
