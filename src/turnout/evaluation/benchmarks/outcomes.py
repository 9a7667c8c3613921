"""The user's own outcomes as a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turnout.data.outcomes import read_outcomes
from turnout.data.table import OutcomeTable
from turnout.errors import DataError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.pricing import list_price
from turnout.types import PICO, Candidate, Floats, Query, estimate_tokens

LEAST_PROMPTS = 30
"""Below this no interval says anything."""


def read(path: Path, models: Sequence[str] = ()) -> Benchmark:
    """Read an outcomes file (docs/reference/outcomes-format.md) as a benchmark of two or N models.

    Raises:
        DataError: see `read_outcomes` and `from_table`.
    """
    return from_table(read_outcomes(path), models=models, name=path.stem)


def from_table(
    table: OutcomeTable, *, models: Sequence[str] = (), name: str = "outcomes"
) -> Benchmark:
    """A benchmark of the prompts that every model was run on.

    Args:
        table: outcomes of at least two models.
        models: the models to compare, strongest first; default: all, by mean score (on a tie by
            name).
        name: what to call it.

    Raises:
        DataError: a model that the table does not hold, or fewer than 30 complete prompts.
    """
    if len(models) == 1:
        raise DataError("models", list(models), "give at least two")
    if models:
        table = table.columns(models)
    complete = np.flatnonzero(~np.isnan(table.score).any(axis=1))
    left_out = table.shape[0] - len(complete)
    if len(complete) < LEAST_PROMPTS:
        raise DataError(
            "outcomes",
            len(complete),
            f"at least {LEAST_PROMPTS} prompts need a score of every compared model "
            f"({', '.join(table.models)}); name fewer models or add outcomes"
            f"{_fewest(table)}",
        )
    fewest = _fewest(table)
    table = table.rows(complete)
    if not models:
        mean = table.score.mean(axis=0, dtype=np.float64)
        order = sorted(range(len(mean)), key=lambda j: (-mean[j], table.models[j]))
        table = table.columns([table.models[j] for j in order])
    candidates = tuple(Candidate(name=m, price=list_price(m)) for m in table.models)
    cost, note = _costs(table, candidates)
    notes = [*table.notes, f"models, strongest first: {', '.join(table.models)}", note]
    if left_out:
        notes.append(f"{left_out} prompts left out: not every model has a score{fewest}")
    return Benchmark(
        name=name,
        queries=tuple(Query.of(prompt) for prompt in table.prompts),
        candidates=candidates,
        quality=table.score.astype(np.float64),
        cost_usd=cost,
        groups=table.groups,
        categories=table.categories,
        notes=tuple(notes),
        input_tokens=_known(table.input_tokens),
        output_tokens=_known(table.output_tokens),
    )


def _fewest(table: OutcomeTable) -> str:
    """Which models lack scores most, as the end of a sentence; empty where none lacks any."""
    n, m = table.shape
    scored = np.isfinite(table.score).sum(axis=0)
    worst = [j for j in np.argsort(scored, kind="stable")[:3].tolist() if scored[j] < n]
    said = [f"{table.models[j]} has {scored[j]} of {n}" for j in worst]
    return f"; fewest scores of {m} models: {', '.join(said)}" if said else ""


def _known(tokens: Floats) -> NDArray[np.float64] | None:
    return tokens.astype(np.float64) if np.isfinite(tokens).any() else None


def _without_cost(cost: NDArray[np.float64], candidates: Sequence[Candidate]) -> str:
    lacking = [candidates[j].name for j in np.flatnonzero(np.isnan(cost).any(axis=0)).tolist()]
    if len(lacking) == len(candidates) or len(lacking) > 5:
        return f"of {len(lacking)} of {len(candidates)} models"
    return f"of {', '.join(lacking)}"


def _costs(table: OutcomeTable, candidates: Sequence[Candidate]) -> tuple[NDArray[np.float64], str]:
    """(n, m) recorded costs; where one is missing, list price by recorded output tokens."""
    cost = table.cost_usd.astype(np.float64)
    recorded = ~np.isnan(cost)
    guess = np.asarray([estimate_tokens(p) for p in table.prompts], dtype=np.float64)[:, None]
    tokens_in = np.where(np.isnan(table.input_tokens), guess, table.input_tokens)
    for j, candidate in enumerate(candidates):
        if candidate.price is None:
            continue
        priced = tokens_in[:, j] * candidate.price.input_picousd
        priced = priced + table.output_tokens[:, j] * candidate.price.output_picousd
        cost[:, j] = np.where(recorded[:, j], cost[:, j], priced / PICO)
    unknown = int(np.isnan(cost).sum())
    if unknown:
        return cost, (
            f"no dollar axis: {unknown} costs are unknown ({_without_cost(cost, candidates)}); "
            "give cost_usd, or output_tokens for models that have a list price"
        )
    filled = int((~recorded).sum())
    return cost, f"costs as recorded; {filled} of {cost.size} from list prices and tokens"
