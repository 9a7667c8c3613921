"""What a report measures: scores of two models, or predicted qualities of more, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.metrics import Vector
from turnout.routers.base import Router
from turnout.types import Candidate, Prediction, Query

BATCH = 512
FEW = 30
"""Prompts below which a note warns; the readers of outcomes refuse so few."""

Progress = Callable[[str, int, int], None]
"""Called with a router's name, prompts done and prompts in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """Scores of one router on the n prompts of a benchmark; higher asks for the strong model.

    The seam for rows that are made elsewhere: anything that can score the prompts can be a row.
    """

    name: str
    kind: RowKind
    scores: Vector
    """(n,), or (r, n) for r runs that are averaged."""
    is_probability: bool = False
    """Whether a score is meant as P(the strong model does better), so that it can be checked. Not
    so of a win rate by `weak_fails`, which shipped artifacts have, nor of a coin."""
    remark: str = ""
    quality: NDArray[np.floating] | None = None
    """(n, 2) predicted quality of both models, where there is one."""
    route: str = ""
    """The router's name in `router-NAME-0.5`; empty where no route leads to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """Predicted quality of every model on every prompt. The seam for rows made elsewhere."""

    name: str
    kind: RowKind
    quality: NDArray[np.floating]
    """(n, m)."""
    route: str = ""
    """The router's name in `router-NAME-0.5`; empty where no route leads to it."""


def predict_quality(
    router: Router,
    queries: Sequence[Query],
    candidates: Sequence[Candidate],
    *,
    progress: Progress | None = None,
) -> tuple[Prediction, NDArray[np.float32]]:
    """Predict in batches.

    Returns:
        The prediction of all n queries (qualities alone), and (n,) win rates of the first over
        the last candidate.

    Raises:
        UnknownNameError: the router does not know a candidate.
    """
    router.check(candidates)
    parts = []
    for start in range(0, len(queries), BATCH):
        parts.append(router.predict(queries[start : start + BATCH], candidates))
        if progress is not None:
            progress(router.name, min(start + BATCH, len(queries)), len(queries))
    quality = np.concatenate([part.quality for part in parts])
    whole = replace(parts[0], quality=quality, output_tokens=None)
    return whole, whole.win_rate(candidates[0].name, candidates[-1].name)


def router_row(
    benchmark: Benchmark,
    router: Router,
    *,
    name: str = "",
    route: str = "",
    kind: RowKind = "transfer",
    progress: Progress | None = None,
) -> ScoreRow:
    """Win rates of a router on a benchmark's two models.

    Raises:
        UnknownNameError: the router does not know a model (set its `known_as`).
    """
    found, rate = predict_quality(
        router, benchmark.queries, benchmark.candidates, progress=progress
    )
    means_quality = found.pair.kind != "strong"
    return ScoreRow(
        name=name or router.name,
        kind=kind,
        scores=rate.astype(np.float64),
        is_probability=found.pair.kind in ("difference", "logistic"),
        quality=found.quality if means_quality else None,
        route=route,
    )


def router_rows(
    benchmark: Benchmark,
    routers: Mapping[str, Router],
    *,
    taken: Sequence[str] = (),
    kind: RowKind = "transfer",
    progress: Progress | None = None,
) -> list[ScoreRow | QualityRow]:
    """Rows of routers, by the name to print: scores of two models, qualities of more.

    Args:
        benchmark: what is predicted.
        routers: by name.
        taken: names of baselines; a router of that name is printed as `NAME router`.
        kind: of the rows.
        progress: told of predictions as they are made.

    Raises:
        UnknownNameError: a router does not know a model (set its `known_as`).
    """
    found: list[ScoreRow | QualityRow] = []
    for name, router in routers.items():
        shown = f"{name} router" if name in taken else name
        if benchmark.is_pair:
            found.append(
                router_row(benchmark, router, name=shown, route=name, kind=kind, progress=progress)
            )
            continue
        predicted, _ = predict_quality(
            router, benchmark.queries, benchmark.candidates, progress=progress
        )
        row = QualityRow(name=shown, kind=kind, quality=predicted.quality, route=name)
        found.append(row)
    return found


def checked(benchmark: Benchmark) -> Benchmark:
    """The benchmark, with a note where it is too small to say much.

    Raises:
        InputError: one model only, or a quality that is missing or outside [0, 1].
    """
    if len(benchmark.candidates) < 2:
        names = [c.name for c in benchmark.candidates]
        raise InputError("models", names, "routing needs at least two to choose from")
    usable = (benchmark.quality >= 0.0) & (benchmark.quality <= 1.0)
    if not usable.all():
        i, j = np.argwhere(~usable)[0].tolist()
        where = f"quality of {benchmark.candidates[j].name!r} on prompt {i}"
        raise InputError(where, float(benchmark.quality[i, j]), "give a number from 0 to 1")
    if benchmark.n >= FEW:
        return benchmark
    note = f"{benchmark.n} prompts: below {FEW} no interval here says anything"
    return replace(benchmark, notes=(*benchmark.notes, note))


def check_scores(row: ScoreRow, n: int) -> None:
    """Refuse scores that do not fit.

    Raises:
        InputError: not one for each of n prompts, or not finite.
    """
    if row.scores.shape[-1] != n or row.scores.ndim > 2:
        raise InputError(f"scores of {row.name!r}", row.scores.shape, f"give one for each of {n}")
    if not np.isfinite(row.scores).all():
        raise InputError(f"scores of {row.name!r}", "NaN or infinite", "scores must be finite")


def check_quality(row: QualityRow, benchmark: Benchmark) -> None:
    """Refuse predictions that do not fit.

    Raises:
        InputError: not one for each prompt and model, or not finite.
    """
    shape = benchmark.quality.shape
    if row.quality.shape != shape:
        remedy = f"give one for each of {shape[0]} prompts and {shape[1]} models"
        raise InputError(f"quality of {row.name!r}", row.quality.shape, remedy)
    if not np.isfinite(row.quality).all():
        raise InputError(f"quality of {row.name!r}", "NaN or infinite", "it must be finite")
