"""The intervals of a calibrated share hold as often as they say, on many redraws."""

from __future__ import annotations

import numpy as np
import pytest

from turnout.calibration.curve import calibrate_share
from turnout.errors import InputError

DRAWS = 600


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.beta(2, 5, n).astype(np.float32)


def lumpy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Twenty values only, some of them common."""
    return (np.floor(rng.beta(2, 5, n) * 20) / 20).astype(np.float32)


@pytest.mark.parametrize("traffic", [smooth, lumpy])
@pytest.mark.parametrize(("n", "share", "batch"), [(50, 0.3, 100), (300, 0.1, 40)])
def test_coverage(traffic, n: int, share: float, batch: int) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng([n, batch])
    population = traffic(rng, 200_000)
    long_run, next_batch, used = 0, 0, 0
    for _ in range(DRAWS):
        try:
            found = calibrate_share(traffic(rng, n), share, router="mf", batch=batch)
        except InputError:  # the top value alone can be more than the share
            continue
        used += 1
        truth = float(np.mean(population >= np.float32(found.threshold)))
        long_run += found.long_run[0] <= truth <= found.long_run[1]
        seen = int(np.sum(traffic(rng, batch) >= np.float32(found.threshold)))
        next_batch += found.next_batch[0] <= seen <= found.next_batch[1]
    assert used > DRAWS // 2
    # 95% promised; three standard errors of a count of 600 are 2.7%.
    assert long_run / used >= 0.95 - 0.027
    assert next_batch / used >= 0.95 - 0.027
