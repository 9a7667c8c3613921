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
    if name in _PERCENT:
        return f"{value:.1%}"
    return f"{value * scale:.2f}" if name in _POINTS else f"{value:.3f}"


def metric_range(metrics: Mapping[str, Estimate], name: str, scale: float) -> str:
    """The 95% interval of a metric as it is printed; empty where there is none."""
    if name not in metrics or math.isnan(metrics[name].low):
        return ""
    ends = (metrics[name].low, metrics[name].high)
    low, high = (metric_cell({name: Estimate(end)}, name, scale) for end in ends)
    return f"{low} to {high}"
