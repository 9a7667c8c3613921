"""Names of the metrics of choices and sweeps, and how their values are printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from turnout.evaluation.intervals import Estimate

METRICS: Mapping[str, str] = {
    "v_b": "V_B",
    "gain_b": "Gain@B",
    "gap_o": "Gap@O",
    "regret_oracle": "regret: oracle",
    "regret_ceiling": "regret: ceiling",
    "aiq": "AIQ",
    "lift": "lift",
    "net_lift": "net lift",
    "log_aiq": "log AIQ",
    "log_lift": "log lift",
    "perf_gain": "PerfGain",
    "cost_save": "CostSave",
    "cost_save_95": "CostSave@95%",
    "hypervolume": "hypervolume",
    "pareto_distance": "ParetoDist",
    "arena": "arena S",
    "entropy": "entropy",
    "top_share": "top share",
}
"""By their name in the JSON; the glossary has their formulas."""

MEANINGS: Mapping[str, str] = {
    "v_b": "quality over the best single model's",
    "gain_b": "relative gain over the best single model, mean of categories",
    "gap_o": "relative loss to the oracle, mean of categories",
    "regret_oracle": "quality lost to the best choice in hindsight",
    "regret_ceiling": "quality lost to the attainable ceiling",
    "aiq": "mean height of the hull over cost",
    "lift": "AIQ less the zero router's, both with hindsight",
    "net_lift": "mean height above the zero router, without hindsight",
    "log_aiq": "AIQ over the logarithm of cost",
    "log_lift": "lift over the logarithm of cost",
    "perf_gain": "best setting's gain over the best single model",
    "cost_save": "saving at the best single model's quality",
    "cost_save_95": "saving at 95% of that quality",
    "hypervolume": "area under the settings over log cost",
    "pareto_distance": "distance to the frontier of all rows; 0 is on it",
    "arena": "RouterArena's score, nearly quality alone",
    "entropy": "of the models chosen, in bits; 0 is one model",
    "top_share": "prompts that the model chosen most gets",
}
"""In a few words, for a reader of the page."""

_PERCENT = frozenset(
    {"gain_b", "gap_o", "perf_gain", "cost_save", "cost_save_95", "arena", "top_share"}
)
_POINTS = frozenset({"regret_oracle", "regret_ceiling", "lift", "net_lift", "log_lift"})
"""In the benchmark's unit of quality."""


def present(rows: Iterable[Mapping[str, Estimate]], *, without: Iterable[str] = ()) -> list[str]:
    """Names of the metrics that some row has, in the order of `METRICS`."""
    have = {name for row in rows for name in row} - set(without)
    return [name for name in METRICS if name in have]


def metric_cell(metrics: Mapping[str, Estimate], name: str, scale: float) -> str:
    """A metric's value as it is printed; `-` where there is none."""
    value = metrics[name].value if name in metrics else math.nan
    if math.isnan(value):
        return "-"
    unit, digits, sign = (1.0, 3, "")
    if name in _PERCENT:
        unit, digits, sign = (100.0, 1, "%")
    elif name in _POINTS:
        unit, digits = (scale, 2)
    # Adding 0 takes the minus off a value that rounds to nothing.
    return f"{round(value * unit, digits) + 0.0:.{digits}f}{sign}"


def metric_range(metrics: Mapping[str, Estimate], name: str, scale: float) -> str:
    """The 95% interval of a metric as it is printed; empty where there is none."""
    if name not in metrics or math.isnan(metrics[name].low):
        return ""
    ends = (metrics[name].low, metrics[name].high)
    low, high = (metric_cell({name: Estimate(end)}, name, scale) for end in ends)
    return f"{low} to {high}"
