"""Cost-quality curves as a picture. Matplotlib is an extra and is imported here only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnout.errors import MissingExtraError
from turnout.evaluation.hulls import concave_hull
from turnout.evaluation.pool_report import ALWAYS, PoolReport
from turnout.evaluation.report import Band, EvaluationReport, ReportRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; baselines are grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = {"random": ":", "prompt length": "--"}
_HIDDEN = ("oracle",)
"""Rows whose curve would squeeze all others; the table has them."""
_BANDS = 3
"""Routers drawn with a band; with more, bands hide each other."""


def draw(report: EvaluationReport | PoolReport, path: Path) -> None:
    """Draw a report to a PNG file.

    Two models: quality over calls and, where costs are known, over dollars. More: quality over
    cost; where costs are unknown, quality of each way to choose with its interval.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing curves", "plots") from error
    figure = Figure(dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    if isinstance(report, EvaluationReport):
        _draw_pair(figure, report)
    elif any(row.points for row in report.rows):
        _draw_pool(figure, report)
    else:
        _draw_intervals(figure, report)
    figure.savefig(path, metadata={"Software": "turnout"})


def _draw_pair(figure: Figure, report: EvaluationReport) -> None:
    shown = [r for r in report.rows if r.calls is not None and r.name not in _HIDDEN]
    with_dollars = report.cost_usd is not None and any(r.dollars is not None for r in shown)
    columns = 2 if with_dollars else 1
    figure.set_size_inches(6.4 * columns, 5.0)
    axes = figure.subplots(1, columns, squeeze=False, sharey=True)[0]
    _panel(axes[0], report, shown, dollars=False)
    axes[0].set_xlabel(f"calls to {report.strong} (%)")
    axes[0].set_ylabel(_quality_label(report))
    _published(axes[0], report)
    if with_dollars:
        _panel(axes[1], report, shown, dollars=True)
        axes[1].set_xlabel("mean cost of 1,000 requests (USD)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(
        f"{report.benchmark}: {report.strong} or {report.weak}, {report.prompts:,} prompts",
        fontsize=11,
    )


def _draw_pool(figure: Figure, report: PoolReport) -> None:
    figure.set_size_inches(8.0, 5.4)
    axes, scale = figure.subplots(), report.scale
    single = [row for row in report.rows if row.name.startswith(ALWAYS)]
    cost = np.asarray([row.cost_usd for row in single]) * 1000
    quality = np.asarray([row.quality.value for row in single])
    axes.scatter(cost, quality * scale, color="0.35", s=22, zorder=3)
    for row, x, y in zip(single, cost, quality, strict=True):
        axes.annotate(
            row.name.removeprefix(ALWAYS),
            (x, y * scale),
            xytext=(5, -3),
            textcoords="offset points",
            fontsize=7,
            color="0.35",
        )
    x, y = concave_hull(cost, quality)
    fine = np.geomspace(max(float(x[0]), 1e-9), max(float(x[-1]), 1e-9), 400)
    # Mixes are straight lines over cost, so on a logarithmic axis they are curves.
    label = "zero router (mixes of two models)"
    axes.plot(fine, np.interp(fine, x, y) * scale, "--", color="0.45", lw=1.4, label=label)
    for k, row in enumerate(report.routed):
        points = np.asarray(row.points) * (1000, 1)
        colour, name = _COLOURS[k % len(_COLOURS)], f"{row.name} ({row.kind})"
        fine = np.geomspace(max(points[0, 0], 1e-9), max(points[-1, 0], 1e-9), 400)
        height = np.interp(fine, points[:, 0], points[:, 1])
        axes.plot(fine, height * scale, color=colour, lw=1.5, label=name)
        axes.plot(points[:, 0], points[:, 1] * scale, ".", color=colour, ms=5)
    axes.set_xscale("log")
    axes.set_xlabel("mean cost of 1,000 requests (USD, log)")
    axes.set_ylabel(_quality_label(report))
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.suptitle(
        f"{report.benchmark}: {len(report.models)} models, {report.prompts:,} prompts", fontsize=11
    )


def _draw_intervals(figure: Figure, report: PoolReport) -> None:
    rows = sorted(report.rows, key=lambda row: row.quality.value)
    figure.set_size_inches(8.0, 1.2 + 0.26 * len(rows))
    axes = figure.subplots()
    for i, row in enumerate(rows):
        ends = np.asarray([row.quality.low, row.quality.high]) * report.scale
        colour = _COLOURS[0] if row.kind != "baseline" else "0.45"
        axes.plot(ends, [i, i], color=colour, lw=1.5)
        axes.plot(row.quality.value * report.scale, i, "o", color=colour, ms=4)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set_xlabel(_quality_label(report))
    axes.grid(axis="x", color="0.92")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(
        f"{report.benchmark}: {len(report.models)} models, {report.prompts:,} prompts", fontsize=11
    )


def _panel(
    axes: Axes, report: EvaluationReport, rows: Sequence[ReportRow], *, dollars: bool
) -> None:
    routed = [row for row in rows if row.kind != "baseline"]
    for row in rows:
        band = row.dollars if dollars else row.calls
        if band is None:
            continue
        x, scale = _axis(report, band, dollars=dollars), report.scale
        if row.kind == "baseline":
            style = _STYLES.get(row.name, "-.")
            axes.plot(x, band.quality * scale, style, color="0.45", lw=1.4, label=row.name)
            continue
        place = routed.index(row)
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(x, band.quality * scale, color=colour, lw=2, label=f"{row.name} ({row.kind})")
        if place < _BANDS:
            axes.fill_between(
                x, band.low * scale, band.high * scale, color=colour, alpha=0.12, lw=0
            )
    weak, strong = report.quality_weak.value, report.quality_strong.value
    for name, level, x, side in (
        (report.strong, strong, 0.01, "left"),
        (report.weak, weak, 0.99, "right"),
    ):
        axes.axhline(level * report.scale, color="0.8", lw=0.8, zorder=0)
        axes.annotate(
            f"always {name}",
            (x, level * report.scale),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha=side,
            fontsize=7,
            color="0.45",
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    _limits(axes, report)


def _limits(axes: Axes, report: EvaluationReport) -> None:
    """From a little below always-weak to a little above the best curve that is drawn."""
    weak, strong = report.quality_weak.value, report.quality_strong.value
    gap = max(strong - weak, 1e-6)
    low, high = axes.get_ylim()
    axes.set_ylim(
        max(low, (weak - 0.3 * gap) * report.scale), min(high, (strong + 0.35 * gap) * report.scale)
    )


def _axis(report: EvaluationReport, band: Band, *, dollars: bool) -> Any:
    if not dollars or report.cost_usd is None:
        return band.share * 100
    strong, weak = report.cost_usd
    return (weak + band.share * (strong - weak)) * 1000


def _published(axes: Axes, report: EvaluationReport) -> None:
    """CPT50 and CPT80 of published rows as small marks; only the best of each is told apart."""
    rows = [row for row in report.rows if row.kind == "published"]
    weak, gap = report.quality_weak.value, report.quality_strong.value - report.quality_weak.value
    for name, part, marker in (("cpt50", 0.5, "o"), ("cpt80", 0.8, "s")):
        x = np.asarray([row.metrics[name].value * 100 for row in rows])
        if not len(x):
            continue
        level = (weak + part * gap) * report.scale
        label = f"published routers at {part:.0%} of the gap"
        axes.scatter(
            x,
            np.full(len(x), level),
            marker=marker,
            s=18,
            facecolors="none",
            edgecolors="#AA3377",
            linewidths=0.9,
            label=label,
            zorder=3,
        )


def _quality_label(report: EvaluationReport | PoolReport) -> str:
    if report.scale == 100.0:
        return "mean quality (%)"
    return f"mean quality (of {report.scale:g})"
