"""The attainable ceiling: what a router could reach that knew how *other* models did on a prompt.

The oracle is mostly luck: were outcomes independent given how hard a prompt is, best-of-m would be
nearly as high. A predictor that sees the other models' outcomes on the very prompt knows more of
its difficulty than its text tells, so what it attains is a bound that text routers rarely reach.

To choose between models by predictions that each see the *other's* outcome is perverse: where just
one is right, its prediction is the lower one, as its rival failed. (Of nine models on 775 prompts,
such a choice scored .51 where the best single model scored .68; see the lab notes.) So each model is
compared with the best single one by the outcomes of the models that are neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds

FOLDS = 5
PENALTY = 30.0
"""Of the ridge; in prompts. A constant, as nothing is to be tuned on what is reported."""


def attainable_gains(
    score: NDArray[np.float64],
    groups: NDArray[np.intp],
    categories: Sequence[str] = (),
    *,
    seed: int = 0,
) -> NDArray[np.float64] | None:
    """(n, m) gain of each model over the best single one, predicted from other models' outcomes.

    Ridge regression of s_j - s_b on the outcomes of the models other than j and b on the same
    prompt and on its category, cross-fitted by group; b is the best single model of the other
    folds, whose column is 0. The ceiling's choice is the argmax.

    Args:
        score: (n, m) complete.
        groups: (n,) prompts that stay together in folds.
        categories: n names, or empty.
        seed: of the folds.

    Returns:
        None where nothing is known beside the two models compared: two models, no categories.
    """
    m = score.shape[1]
    kinds = _one_hot(categories, len(score))
    if m < 3 and kinds.shape[1] < 2:
        return None
    known = np.concatenate([score, kinds], axis=1)
    fold = group_folds(groups, FOLDS, seed=seed)
    found = np.zeros_like(score)
    for k in range(FOLDS):
        held, seen = fold == k, fold != k
        if not held.any():
            continue
        # One matrix of products serves all pairs of models: each regression takes a part of it.
        middle = known[seen].mean(axis=0)
        centred = known[seen] - middle
        products = centred.T @ centred
        best = int(np.argmax(middle[:m]))
        for j in range(m):
            if j == best:
                continue
            used = np.asarray([i for i in range(known.shape[1]) if i not in (j, best)])
            gram = products[np.ix_(used, used)] + PENALTY * np.eye(len(used))
            weights = np.linalg.solve(gram, products[used, j] - products[used, best])
            gain = (known[held][:, used] - middle[used]) @ weights
            found[held, j] = middle[j] - middle[best] + gain
    return found


def _one_hot(categories: Sequence[str], n: int) -> NDArray[np.float64]:
    if not categories:
        return np.zeros((n, 0))
    names, at = np.unique(np.asarray(categories), return_inverse=True)
    return np.eye(len(names))[at]
