"""RouterArena's score (arXiv:2510.00202), and its robustness and optimality, of a graded submission."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from turnout.data.table import OutcomeTable
from turnout.errors import InputError
from turnout.evaluation.choices import arena_score
from turnout.evaluation.intervals import REPLICATES, Estimate, Resampler, percentile_interval
from turnout.evaluation.routerarena import ArenaEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaScore:
    """What a graded submission is worth, with 95% intervals over prompts."""

    queries: int
    ungraded: int
    """Entries without an accuracy; they count in the cost, as in RouterArena's own code."""
    accuracy: Estimate
    usd_per_1000: Estimate
    score: Estimate
    """S."""
    robustness: float | None = None
    """1 - share of perturbed queries whose model differs from that of the query itself."""
    robustness_pairs: int = 0
    optimal_selection: float | None = None
    """Of queries answered fully by the model chosen: how often it was the cheapest such model."""
    optimal_cost: float | None = None
    """On those: cost of the cheapest such model over that of the model chosen."""


def graded(entries: Sequence[ArenaEntry], table: OutcomeTable) -> list[ArenaEntry]:
    """Entries with accuracy and cost from outcomes of the same prompts and models.

    What the outcomes do not have stays as it was.
    """
    rows = {prompt: i for i, prompt in enumerate(table.prompts)}
    columns = {model: j for j, model in enumerate(table.models)}
    found = []
    for entry in entries:
        i, j = rows.get(entry.prompt), columns.get(entry.model)
        if i is None or j is None or np.isnan(table.score[i, j]):
            found.append(entry)
            continue
        cost = float(table.cost_usd[i, j])
        found.append(
            replace(
                entry,
                accuracy=float(table.score[i, j]),
                cost_usd=entry.cost_usd if math.isnan(cost) else cost,
            )
        )
    return found


def score(
    entries: Sequence[ArenaEntry],
    robustness: Sequence[ArenaEntry] = (),
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ArenaScore:
    """Score a graded submission as RouterArena's own code does.

    Accuracy is the mean over graded entries, cost the sum of all costs over all entries, both
    without those for optimality.

    Args:
        entries: graded.
        robustness: entries for the perturbed queries; they need no grades.
        replicates: of the bootstrap over prompts.
        seed: of it.

    Raises:
        InputError: no entry has an accuracy, or none has a cost.
    """
    regular = [entry for entry in entries if not entry.for_optimality]
    accuracy = np.asarray([_or_nan(e.accuracy) for e in regular], dtype=np.float64)
    cost = np.asarray([_or_nan(e.cost_usd) for e in regular], dtype=np.float64)
    for field, values in (("accuracy", accuracy), ("cost", np.where(cost > 0, cost, np.nan))):
        if not np.isfinite(values).any():
            remedy = "no entry has one; grade the submission first, or give --outcomes"
            raise InputError(field, None, remedy)
    known = np.isfinite(accuracy)
    columns = np.stack([np.nan_to_num(accuracy), known, np.nan_to_num(cost)], axis=1)
    whole = columns.mean(axis=0)
    draws = Resampler(np.arange(len(regular)), replicates, seed).means(columns)
    right, usd = draws[:, 0] / np.maximum(draws[:, 1], 1e-12), draws[:, 2]
    means = np.asarray([whole[0] / whole[1]]), np.asarray([whole[2]])
    pairs = _pairs(regular, robustness)
    selection, optimal_cost = _optimality(entries)
    return ArenaScore(
        queries=len(regular),
        ungraded=int((~known).sum()),
        accuracy=percentile_interval(float(means[0][0]), right),
        usd_per_1000=percentile_interval(float(means[1][0]) * 1000.0, usd * 1000.0),
        score=percentile_interval(float(arena_score(*means)[0]), arena_score(right, usd)),
        robustness=float(np.mean([a == b for a, b in pairs])) if pairs else None,
        robustness_pairs=len(pairs),
        optimal_selection=selection,
        optimal_cost=optimal_cost,
    )


def _pairs(
    regular: Sequence[ArenaEntry], robustness: Sequence[ArenaEntry]
) -> list[tuple[str, str]]:
    """Models chosen for a query and for its perturbed form, where both are there."""
    chosen = {entry.index: entry.model for entry in regular}
    return [(chosen[e.index], e.model) for e in robustness if e.index in chosen]


def _optimality(entries: Sequence[ArenaEntry]) -> tuple[float | None, float | None]:
    """How often the cheapest model with full accuracy was chosen, and what the others cost more."""
    compared = {entry.index for entry in entries if entry.for_optimality}
    results: dict[str, dict[str, tuple[float, float]]] = {}
    chosen: dict[str, ArenaEntry] = {}
    for entry in entries:
        if entry.index not in compared or entry.accuracy is None or entry.cost_usd is None:
            continue
        results.setdefault(entry.index, {})[entry.model] = (entry.accuracy, entry.cost_usd)
        if not entry.for_optimality:
            chosen[entry.index] = entry
    selected, least, paid = [], 0.0, 0.0
    for index, entry in chosen.items():
        right = {m: usd for m, (accuracy, usd) in results[index].items() if accuracy >= 1.0}
        if entry.model not in right:
            continue
        cheapest = min(right, key=lambda m: (right[m], m != entry.model))
        selected.append(cheapest == entry.model)
        if right[entry.model] > 0:
            least, paid = least + right[cheapest], paid + right[entry.model]
    if not selected:
        return None, None
    return float(np.mean(selected)), least / paid if paid > 0 else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
