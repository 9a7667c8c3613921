"""What a report measures: scores of two models, or predicted qualities of more, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError, RouterError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.kinds import RowKind
from turnout.evaluation.metrics import Vector
from turnout.routers.base import Router
from turnout.routers.judged import MOST_FAILED
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
    note: str = ""
    """What its reader should know; the report has it among its notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """Predicted quality of every model on every prompt. The seam for rows made elsewhere."""

    name: str
    kind: RowKind
    quality: NDArray[np.floating]
    """(n, m)."""
    route: str = ""
    """The router's name in `router-NAME-0.5`; empty where no route leads to it."""
    note: str = ""
    """What its reader should know; the report has it among its notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a router says of n prompts."""

    prediction: Prediction
    """Of all of them; qualities alone."""
    rate: NDArray[np.float32]
    """(n,) win rates of the first over the last candidate."""
    failed: int = 0
    """Prompts on which the router failed: the first candidate serves them, as where a gateway's router
    fails."""
    why: str = ""
    """One of the reasons."""

    def note(self, name: str) -> str:
        """What a report says of the failures; empty where there are none."""
        if not self.failed:
            return ""
        n = len(self.rate)
        return (
            f"{name} failed on {self.failed:,} of {n:,} prompts, for which the strongest model is called; "
            f"one because {self.why}"
        )


def predict_quality(
    router: Router,
    queries: Sequence[Query],
    candidates: Sequence[Candidate],
    *,
    progress: Progress | None = None,
) -> Predicted:
    """Predict n queries in batches; those of a batch that fails are asked again, one by one.

    Raises:
        UnknownNameError: the router does not know a candidate.
        RouterError: it fails on more than a tenth of the queries.
    """
    router.check(candidates)
    quality = np.zeros((len(queries), len(candidates)), dtype=np.float32)
    quality[:, 0] = 1.0
    made: Prediction | None = None
    failed: dict[int, str] = {}
    for start in range(0, len(queries), BATCH):
        stop = min(start + BATCH, len(queries))
        for rows, found in _asked(router, queries, candidates, slice(start, stop)):
            if isinstance(found, RouterError):
                failed[rows.start] = str(found)
                _check_failures(router.name, failed, rows.stop, len(queries))
            else:
                made, quality[rows] = found, found.quality
        if progress is not None:
            progress(router.name, stop, len(queries))
    if made is None:
        raise InputError("queries", len(queries), "give at least one")
    whole = replace(made, quality=quality, output_tokens=None)
    rate = whole.win_rate(candidates[0].name, candidates[-1].name)
    rate[list(failed)] = 1.0
    why = next(iter(failed.values()), "")
    return Predicted(prediction=whole, rate=rate, failed=len(failed), why=why)


def _asked(
    router: Router, queries: Sequence[Query], candidates: Sequence[Candidate], rows: slice
) -> Iterator[tuple[slice, Prediction | RouterError]]:
    """What a router says of some of the queries: of all together, or of each where that fails."""
    parts = [rows]
    while parts:
        part = parts.pop()
        found: Prediction | RouterError
        try:
            found = router.predict(queries[part], candidates)
        except RouterError as error:
            if part.stop - part.start > 1:
                parts = [slice(i, i + 1) for i in reversed(range(part.start, part.stop))]
                continue
            found = error
        yield part, found


def _check_failures(name: str, failed: Mapping[int, str], done: int, n: int) -> None:
    """Give up where too much is missing.

    Raises:
        RouterError: it is.
    """
    if len(failed) > MOST_FAILED * n:
        raise RouterError(
            f"router {name} failed on {len(failed):,} of {done:,} prompts, one because "
            f"{next(iter(failed.values()))}; mend it and run the same command again"
        )


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
    predicted = predict_quality(router, benchmark.queries, benchmark.candidates, progress=progress)
    found = predicted.prediction
    means_quality = found.pair.kind != "strong"
    return ScoreRow(
        name=name or router.name,
        kind=kind,
        scores=predicted.rate.astype(np.float64),
        is_probability=found.pair.kind in ("difference", "logistic"),
        quality=found.quality if means_quality else None,
        route=route,
        note=predicted.note(name or router.name),
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
        predicted = predict_quality(
            router, benchmark.queries, benchmark.candidates, progress=progress
        )
        quality, note = predicted.prediction.quality, predicted.note(shown)
        row = QualityRow(name=shown, kind=kind, quality=quality, route=name, note=note)
        found.append(row)
    return found


def notes_of(rows: Sequence[ScoreRow | QualityRow]) -> tuple[str, ...]:
    """What the rows have to say, for a report's notes."""
    return tuple(row.note for row in rows if row.note)


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
