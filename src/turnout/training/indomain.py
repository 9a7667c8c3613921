"""In-domain rows of an evaluation: what a router does when fitted on labels of the same traffic.

The prompts that are fitted on are never those that are reported on, and near-duplicates and
templates stay on one side. Such rows are marked, since they are not comparable with transfer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from turnout.data.groups import group_folds, group_holdout
from turnout.encoders.opening import DEFAULT, open_encoder
from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.routers.inputs import RawRows
from turnout.training.fit import LEAST_PROMPTS, fit_parts
from turnout.types import Floats

Progress = Callable[[str], None]


def split_labels(
    benchmark: Benchmark, labels: int, *, seed: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw whole groups for `labels` labelled prompts; the other groups are reported on.

    A drawn group's surplus prompts are in neither part, so that exactly `labels` are fitted on.

    Returns:
        (n,) True for labelled prompts, and (n,) True for reported ones.

    Raises:
        InputError: too few labels to fit, or none left to report.
    """
    if not LEAST_PROMPTS <= labels < benchmark.n:
        raise InputError(
            "labels", labels, f"give a number from {LEAST_PROMPTS} to {benchmark.n - 1}"
        )
    drawn = group_holdout(benchmark.groups, labels, seed=seed)
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(drawn))[:labels]
    labelled = np.zeros(benchmark.n, dtype=np.bool_)
    labelled[chosen] = True
    return labelled, ~drawn


def predict_held_out(
    benchmark: Benchmark,
    router: str,
    labelled: NDArray[np.bool_],
    reported: NDArray[np.bool_],
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
) -> Floats:
    """(r, m) quality of the reported prompts by a router fitted on the labelled ones alone."""
    return _fit_and_predict(_raw(benchmark, encoder), benchmark, router, labelled, reported, seed)


def predict_cross_fitted(
    benchmark: Benchmark,
    router: str,
    folds: int,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Floats:
    """(n, m) quality of each prompt by a router fitted on the folds that its group is not in.

    Raises:
        InputError: fewer than two folds or groups.
    """
    fold = group_folds(benchmark.groups, folds, seed=seed)
    raw = _raw(benchmark, encoder)
    predicted = np.zeros(benchmark.quality.shape, dtype=np.float32)
    for f in range(folds):
        held = fold == f
        if held.any():
            progress(f"{router}: fold {f + 1} of {folds}")
            predicted[held] = _fit_and_predict(raw, benchmark, router, ~held, held, seed)
    return predicted


def _raw(benchmark: Benchmark, encoder: str) -> RawRows:
    return RawRows.of(open_encoder(encoder), [q.text for q in benchmark.queries])


def _fit_and_predict(
    raw: RawRows,
    benchmark: Benchmark,
    router: str,
    labelled: NDArray[np.bool_],
    reported: NDArray[np.bool_],
    seed: int,
) -> Floats:
    score = benchmark.quality[labelled].astype(np.float32)
    groups = benchmark.groups[labelled]
    parts = fit_parts(router, raw.take(labelled), score, groups, seed=seed)
    return parts.predict(raw.take(reported).texts)
