"""How wide a near tie is: a margin that loses nothing to speak of, chosen so that no one draw decides it.

The widest margin that is within an error of the best jumps from one of a few values to another when
some prompts change. So it is chosen on resampled prompts many times over, and the mean is taken.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MARGINS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
"""Of predicted quality, tried at each trade-off."""
ERRORS = 0.5
"""A wider margin is taken while what it loses out of fold is within so many standard errors."""
RESAMPLES = 50


def steady_margin(got: NDArray[np.floating]) -> float:
    """The mean, over resamples of the prompts, of the widest margin that loses nothing to speak of.

    Always the same of the same rows.

    Args:
        got: (k, n) what each of `MARGINS` gave on each prompt, out of fold.
    """
    k, n = got.shape
    share = _resamples(n)
    mean = share @ got.T
    a, b = np.triu_indices(k)
    product = np.empty((RESAMPLES, k, k))
    product[:, a, b] = product[:, b, a] = share @ (got[a] * got[b]).T
    each = np.arange(RESAMPLES)
    best = mean.argmax(axis=1)
    lost = mean[each, best][:, None] - mean
    own = np.einsum("bkk->bk", product)
    squared = own[each, best][:, None] + own - 2.0 * product[each, best]
    error = np.sqrt(np.maximum(squared - lost**2, 0.0) / n)
    within = lost <= ERRORS * error + 1e-12
    widest = k - 1 - within[:, ::-1].argmax(axis=1)
    return round(float(np.asarray(MARGINS)[widest].mean()), 4)


@lru_cache(maxsize=1)
def _resamples(n: int) -> NDArray[np.float64]:
    """(resamples, n) share of each prompt; the trade-offs of a hull have the same."""
    share = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES) / n
    share.flags.writeable = False
    return share
