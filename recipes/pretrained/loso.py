"""Leave one source out: the evaluation that chooses, since RouteLLM's files are for reporting.

Every family of tasks is held out whole, and six mixtures of families that one set holds together.
On each, up to 40 pairs of single models stand for users' pairs; APGR is pooled over pairs, its
curve exact. Abilities and difficulties come from one fit over all sets, so pairs' positions are not
held out; predictions are. The mixtures reuse rows of the families, so these are not 20 independent
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Scale, Vector
from pretrained.heads import Fit
from pretrained.material import Material
from pretrained.outcomes import LINEAGE, Cells
from pretrained.tiers import TIERS, position
from turnout.routers.columns import Columns
from turnout.types import Candidate, Floats

MOST_PAIRS = 40
LEAST_ROWS, LEAST_CATEGORY_ROWS = 100, 150
SPLIT_SETS = ("mmlu_pro", "bfcl_2024_08")
"""Scored whole and by category, each half of the family's number."""
MIXTURES: Mapping[str, tuple[str, ...]] = {
    "llmrouter": tuple(
        f"llmrouter_uiuc/{task}"
        for task in "natural_qa trivia_qa mbpp openbook_qa arc_challenge commonsense_qa human_eval"
        " math commongen".split()
    ),
    "llmrouter_qa": tuple(
        f"llmrouter_uiuc/{task}"
        for task in "natural_qa trivia_qa openbook_qa arc_challenge commonsense_qa".split()
    ),
    "routerbench": ("routerbench/arc_challenge", "routerbench/winograde", "routerbench/mbpp"),
    "zeroeval": ("zeroeval_crux", "zeroeval_math-l5"),
    "zeroeval3": ("zeroeval_crux", "zeroeval_math-l5", "zeroeval_numersense-v2"),
    "evalarena": ("evalarena_humanevalplus", "evalarena_mbppplus"),
}

Order = Callable[["Unit"], Floats]
"""(k,) or (k, p) score of a unit's prompts: higher asks for the strong model, per pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """k held-out prompts and p pairs of models that were run on them."""

    name: str
    family: str
    """`mixture` for those."""
    held: frozenset[str]
    """Families that the predicting head had not seen."""
    rows: NDArray[np.intp]
    gain: Vector
    """(k, p) score of the strong model less that of the weak one, 0 where one is missing."""
    strong: Vector
    """(p,) positions on the ladder."""
    weak: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """APGR of one order."""

    total: float
    """Mean of the families and mixtures."""
    families: dict[str, float]
    mixtures: dict[str, float]


def find_units(cells: Cells, scale: Scale, fit: NDArray[np.bool_]) -> list[Unit]:
    """All units that have a pair worth routing; draws pairs with a fixed seed."""
    rng = np.random.default_rng(0)
    fits = set(np.unique(cells.family[fit]).tolist())
    found = []
    for name, family, rows in _parts(cells):
        held = fits & set(np.unique(cells.family[rows]).tolist())
        pairs = _pairs(cells, scale, rows, rng)
        if pairs is not None:
            gain, strong, weak = pairs
            found.append(
                Unit(
                    name=name,
                    family=family,
                    held=frozenset(held),
                    rows=rows,
                    gain=gain,
                    strong=strong,
                    weak=weak,
                )
            )
    return found


def held_out_sets(cells: Cells, fit: NDArray[np.bool_]) -> list[frozenset[str]]:
    """Every family alone, then the mixtures' families."""
    single = [frozenset({f}) for f in np.unique(cells.family[fit]).tolist()]
    known = set(np.unique(cells.family).tolist())
    for units in MIXTURES.values():
        inside = np.isin(cells.unit, units)
        held = frozenset(set(cells.family[inside].tolist()) & known)
        if len(held) > 1 and held not in single:
            single.append(held)
    return single


def predictions(
    fit: Fit, material: Material, holds: list[frozenset[str]]
) -> dict[frozenset[str], Floats]:
    """Per held-out set: (n, 6) tier qualities of its prompts, NaN on all others."""
    found = {}
    for held in holds:
        outside = np.isin(material.family, sorted(held))
        inputs, head = fit(material.fit & ~outside)
        rows = inputs.transform([material.raw.vectors[outside], material.raw.features[outside]])
        quality = np.full(material.score.shape, np.nan, dtype=np.float32)
        quality[outside] = head.predict(rows)
        found[held] = quality
    return found


def by_win_rate(predicted: Mapping[frozenset[str], Floats]) -> Order:
    """The order of the shipped artifacts: 1 - the predicted quality of the weak model.

    On sources left out the level of quality cannot be told, so that the gain q_s - q_w, which peaks
    where quality is middling, loses to this order once qualities are calibrated.
    """
    columns = Columns(names=TIERS, ladder={})

    def order(unit: Unit) -> Floats:
        quality = columns.ordered(predicted[unit.held][unit.rows])
        return np.asarray(1.0 - quality @ _weights(unit.weak), dtype=np.float32)

    return order


def by_gain(predicted: Mapping[frozenset[str], Floats]) -> Order:
    """The predicted quality of the strong model less that of the weak one."""
    columns = Columns(names=TIERS, ladder={})

    def order(unit: Unit) -> Floats:
        quality = columns.ordered(predicted[unit.held][unit.rows])
        return np.asarray(quality @ (_weights(unit.strong) - _weights(unit.weak)), dtype=np.float32)

    return order


def score(units: list[Unit], order: Order) -> Result:
    """APGR of an order on every unit."""
    units = [u for u in units if u.family != LINEAGE]
    apgr = {u.name: pooled_apgr(order(u), u.gain) for u in units}
    families: dict[str, float] = {}
    for family in sorted({u.family for u in units} - {"mixture"}):
        mine = [u for u in units if u.family == family]
        parts = [apgr[u.name] for u in mine if ":" in u.name]
        whole = [apgr[u.name] for u in mine if ":" not in u.name]
        if parts:
            whole = [float(np.mean(whole)), float(np.mean(parts))] if whole else parts
        families[family] = float(np.mean(whole))
    mixtures = {u.name: apgr[u.name] for u in units if u.family == "mixture"}
    values = [*families.values(), *mixtures.values()]
    return Result(total=float(np.mean(values)), families=families, mixtures=mixtures)


def difference(result: Result, other: Result) -> tuple[float, float, int]:
    """Mean over families of an APGR less another, its standard error, and how many are positive."""
    gaps = np.asarray([result.families[f] - other.families[f] for f in result.families])
    if not len(gaps):
        return 0.0, 0.0, 0
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else float("nan")
    return float(gaps.mean()), error, int((gaps > 0).sum())


def pooled_apgr(order: Floats, gain: Vector) -> float:
    """Area under the exact curves of (k, p) gains, pooled over pairs; ties in random order."""
    ranks = order[:, None] if order.ndim == 1 else order
    place = np.stack([_percentiles(ranks[:, j]) for j in range(ranks.shape[1])], axis=1)
    return float((gain * place).sum() / gain.sum())


def _percentiles(values: Floats) -> Vector:
    """(k,) in (0, 1), the same for ties."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(count) - count
    return np.asarray((below + count / 2)[inverse] / len(values), dtype=np.float64)


def _weights(positions: Vector) -> Floats:
    """(6, p) mixtures of tiers."""
    names = [str(j) for j in range(len(positions))]
    columns = Columns(names=TIERS, ladder=dict(zip(names, positions.tolist(), strict=True)))
    mixes = [columns.weights([Candidate(name=name)])[0] for name in names]
    return np.concatenate(mixes, axis=1)


def _parts(cells: Cells) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    for unit in dict.fromkeys(cells.unit.tolist()):
        rows = np.flatnonzero(cells.unit == unit)
        family = str(cells.family[rows[0]])
        if len(rows) >= LEAST_ROWS:
            yield unit, family, rows
        if unit in SPLIT_SETS:
            for category in dict.fromkeys(cells.category[rows].tolist()):
                part = rows[cells.category[rows] == category]
                if len(part) >= LEAST_CATEGORY_ROWS:
                    yield f"{unit}:{category}", family, part
    for name, units in MIXTURES.items():
        rows = np.flatnonzero(np.isin(cells.unit, units))
        if len(rows) >= LEAST_ROWS:
            yield f"mix/{name}", "mixture", rows


def _pairs(
    cells: Cells, scale: Scale, rows: NDArray[np.intp], rng: np.random.Generator
) -> tuple[Vector, Vector, Vector] | None:
    """(k, p) gains and (p,) positions of up to 40 pairs whose models differ in earnest."""
    where = np.full(cells.n, -1, dtype=np.intp)
    where[rows] = np.arange(len(rows))
    inside = (where[cells.at] >= 0) & scale.sound[cells.by]
    models, code = np.unique(cells.entry_model[cells.by[inside]], return_inverse=True)
    flat = where[cells.at[inside]] * len(models) + code
    size = len(rows) * len(models)
    count = np.bincount(flat, minlength=size).reshape(len(rows), len(models))
    total = np.bincount(flat, cells.score[inside], size).reshape(count.shape)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    wide = (count > 0).mean(axis=0) > 0.6
    models, values = models[wide], values[:, wide]
    name_of = dict(zip(cells.entry_model.tolist(), cells.entry_name.tolist(), strict=True))
    ability = np.asarray([scale.ability[name_of[m]] for m in models.tolist()])
    mean = np.nanmean(values, axis=0) if len(models) else np.empty(0)
    pairs = [
        (s, w)
        for s in range(len(models))
        for w in range(len(models))
        if mean[s] - mean[w] >= 0.08 and ability[s] - ability[w] >= 0.3 and mean[s] >= 0.35
    ]
    if not pairs:
        return None
    drawn = np.asarray([pairs[i] for i in rng.permutation(len(pairs))[:MOST_PAIRS]])
    gain = np.nan_to_num(values[:, drawn[:, 0]] - values[:, drawn[:, 1]])
    places = np.asarray([position(a) for a in ability])
    return gain, places[drawn[:, 0]], places[drawn[:, 1]]
