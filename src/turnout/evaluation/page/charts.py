"""The pictures of a report: curves of two models, costs of many, intervals, reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from turnout.evaluation.hulls import concave_hull
from turnout.evaluation.metrics import Vector
from turnout.evaluation.page.svg import Chart, Point, Scale
from turnout.evaluation.pool_report import ALWAYS, PoolReport, PoolRow
from turnout.evaluation.reliability import Reliability
from turnout.evaluation.report import Band, EvaluationReport, ReportRow
from turnout.evaluation.rules import CEILING, LENGTH, ORACLE, RANDOM, TABLE, ZERO

COLOURS = 6
BANDS = 3
"""Routers drawn with a band; with more, bands hide each other."""
_STYLES = {RANDOM: "dotted", LENGTH: "dashed", TABLE: "dashdot"}
_NAMED = 12
"""Single models that are named in a chart; the others say their names to a pointer."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing and what stands below it."""

    svg: Markup
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    """CSS class of a line and what it is."""


def pair_figures(report: EvaluationReport) -> list[Figure]:
    """Quality over the share of calls, and over dollars where they are known."""
    shown = [row for row in report.rows if row.calls is not None and row.name != ORACLE]
    found = [_pair_figure(report, shown, dollars=False)]
    if report.cost_usd is not None and any(row.dollars is not None for row in shown):
        found.append(_pair_figure(report, shown, dollars=True))
    return found


def _pair_figure(report: EvaluationReport, rows: Sequence[ReportRow], *, dollars: bool) -> Figure:
    weak, strong = report.quality_weak.value, report.quality_strong.value
    gap, scale = max(abs(strong - weak), 1e-3), report.scale
    low, high = min(weak, strong) - 0.12 * gap, max(weak, strong) + 0.25 * gap
    ends = (0.0, 100.0)
    if dollars and report.cost_usd is not None:
        ends = (report.cost_usd[1] * 1000, report.cost_usd[0] * 1000)
    chart = Chart.framed(ends, (low * scale, high * scale))
    name = "mean cost of 1,000 requests, USD" if dollars else f"calls to {report.strong}"
    unit = "quality, %" if scale == 100.0 else f"quality, of {scale:g}"
    chart.axes(name, unit, x_unit="" if dollars else "%")
    for level in (strong, weak):
        chart.level(level * scale)
    routed = [row for row in rows if row.name not in _STYLES]
    for k, row in enumerate(routed[:BANDS]):
        band = row.dollars if dollars else row.calls
        if band is not None:
            low_high = (band.low * scale, band.high * scale)
            points = list(
                zip(_at(band, ends).tolist(), *(v.tolist() for v in low_high), strict=True)
            )
            chart.band(points, kind=f"band c{k % COLOURS}")
    legend, labels = [], []
    for row in rows:
        band = row.dollars if dollars else row.calls
        if band is None:
            continue
        kind = _STYLES.get(row.name) or f"c{routed.index(row) % COLOURS}"
        curve = list(zip(_at(band, ends).tolist(), (band.quality * scale).tolist(), strict=True))
        chart.curve(curve, kind=f"curve {kind}")
        legend.append((kind, f"{row.name} ({row.kind})"))
        labels.append((row.name, curve, kind))
    for k, row in enumerate(routed):
        _pair_marks(chart, row, ends, scale, f"c{k % COLOURS}", named=k == 0, dollars=dollars)
    for text, level, at in (
        (f"always {report.strong}", strong, 0.02),
        (f"always {report.weak}", weak, 0.98),
    ):
        where = [(ends[0] + at * (ends[1] - ends[0]), level * scale)]
        chart.label(text, where, kind="quiet")
    for text, curve, kind in labels:
        chart.label(text, curve[12:-8:4], kind=kind)
    what = "dollars" if dollars else "calls"
    caption = (
        f"Quality over {what}. Shaded: 95% band of what is gained over {report.weak}. Dots: the knob, "
        "named by its threshold."
    )
    title = f"{report.benchmark}: quality over {what}"
    return Figure(chart.svg(title, caption), caption, tuple(legend))


def _at(band: Band, ends: tuple[float, float]) -> Vector:
    return np.asarray(ends[0] + band.share * (ends[1] - ends[0]))


def _pair_marks(
    chart: Chart,
    row: ReportRow,
    ends: tuple[float, float],
    scale: float,
    kind: str,
    *,
    named: bool,
    dollars: bool,
) -> None:
    for mark in row.marks:
        share = mark.share_usd if dollars else mark.share
        if share is None:
            continue
        x, y = ends[0] + share * (ends[1] - ends[0]), mark.quality * scale
        title = f"{mark.route}: {mark.share:.0%} of calls, quality {y:.1f}"
        chart.dot(x, y, kind=f"mark {kind}", title=title)
    for mark in row.marks if named else ():
        share = mark.share_usd if dollars else mark.share
        if share is not None:
            at = (ends[0] + share * (ends[1] - ends[0]), mark.quality * scale)
            chart.label(mark.route.rpartition("-")[2], [at], kind=kind)


def pool_figures(report: PoolReport) -> list[Figure]:
    """Quality over dollars, logarithmic and plain, where costs are known; else no picture."""
    priced = [row for row in report.rows if math.isfinite(row.cost_usd)]
    singles = [row for row in priced if row.name.startswith(ALWAYS)]
    if not singles or not any(row.points for row in report.rows):
        return []
    found = []
    if all(row.cost_usd > 0 for row in singles):
        found.append(_pool_figure(report, singles, log=True))
    found.append(_pool_figure(report, singles, log=False))
    return found


def _pool_figure(report: PoolReport, singles: Sequence[PoolRow], *, log: bool) -> Figure:
    scale = report.scale
    swept = report.routed
    extra = [r for r in report.rows if r.name in (CEILING, ORACLE, RANDOM)]
    cost = np.asarray([r.cost_usd for r in singles]) * 1000
    quality = np.asarray([r.quality.value for r in singles]) * scale
    everything = [*quality, *(r.quality.value * scale for r in extra)]
    low, high = min(everything), max(everything)
    room = 0.06 * (high - low or 1.0)
    ends = (float(cost.min()) * 0.85, float(cost.max()) * 1.3)
    if not log:
        ends = (0.0, float(cost.max()) * 1.08)
    chart = Chart.framed(ends, (low - room, high + room), log=log)
    unit = "quality, %" if scale == 100.0 else f"quality, of {scale:g}"
    suffix = " (logarithmic)" if log else ""
    chart.axes(f"mean cost of 1,000 requests, USD{suffix}", unit)
    x, y = concave_hull(cost, quality)
    for k, row in enumerate(swept[:BANDS]):
        chart.band(_fine_band(row, scale, log=log), kind=f"band c{k % COLOURS}")
    chart.curve(_fine(x, y, log=log), kind="curve dashed")
    legend = [("dashed", "zero router: the best mixes of single models, no prediction")]
    curves: list[tuple[str, list[Point], str]] = [("zero router", _fine(x, y, log=log), "quiet")]
    for k, row in enumerate(swept):
        points, kind = np.asarray(row.points) * (1000, scale), f"c{k % COLOURS}"
        line = _fine(points[:, 0], points[:, 1], log=log)
        chart.curve(line, kind=f"curve {kind}")
        legend.append((kind, f"{row.name} ({row.kind})"))
        curves.append((row.name, line, kind))
        for mark in row.marks:
            title = (
                f"{mark.route}: {mark.cost_usd * 1000:.3f} USD, quality {mark.quality * scale:.1f}"
            )
            at = (mark.cost_usd * 1000, mark.quality * scale)
            chart.dot(*at, kind=f"mark {kind}", title=title)
    for row in (*singles, *extra):
        title = (
            f"{row.name}: {row.cost_usd * 1000:.3f} USD, quality {row.quality.value * scale:.1f}"
        )
        shape = "single" if row.name.startswith(ALWAYS) else "other"
        chart.dot(row.cost_usd * 1000, row.quality.value * scale, kind=shape, title=title)
    # Cheap models crowd on the plain axis, so only those that matter are named there.
    on_hull = [r for r in singles if r.cost_usd * 1000 in x] if not log else singles
    for row in (*extra, *sorted(on_hull, key=lambda r: -r.quality.value)[:_NAMED]):
        place = [(row.cost_usd * 1000, row.quality.value * scale)]
        chart.label(row.name.removeprefix(ALWAYS), place, kind="quiet")
    _name_marks(chart, swept, scale)
    for text, line, kind in curves:
        chart.label(text, line[20:-10:8], kind=kind)
    caption = (
        "Quality over cost. Grey dots: single models. Shaded: 95% band of a router's quality against "
        "the best single model's. Dots on a curve: the knob, by its setting."
    )
    title = f"{report.benchmark}: quality over {'the logarithm of ' if log else ''}dollars"
    return Figure(chart.svg(title, caption), caption, tuple(legend))


def _name_marks(chart: Chart, swept: Sequence[PoolRow], scale: float) -> None:
    """Settings of the first router whose knob is known; settings at one place share a label."""
    row = next((r for r in swept if r.marks), None)
    places: dict[Point, list[str]] = {}
    for mark in row.marks if row is not None else ():
        at = (mark.cost_usd * 1000, mark.quality * scale)
        places.setdefault(at, []).append(mark.route.rpartition("-")[2])
    for at, names in places.items():
        kind = f"c{swept.index(row) % COLOURS}" if row is not None else ""
        chart.label(", ".join(names), [at], kind=kind)


def _fine(x: Vector, y: Vector, *, log: bool) -> list[Point]:
    """Mixes are straight lines over cost, so on a logarithmic axis they are curves."""
    low, high = float(x[0]), float(x[-1])
    grid = (
        np.geomspace(max(low, 1e-9), max(high, 1e-9), 160) if log else np.linspace(low, high, 160)
    )
    return list(zip(grid.tolist(), np.interp(grid, x, y).tolist(), strict=True))


def _fine_band(row: PoolRow, scale: float, *, log: bool) -> list[tuple[float, float, float]]:
    cost = np.asarray(row.points)[:, 0] * 1000
    band = np.asarray(row.band) * scale
    low, high = (_fine(cost, band[:, j], log=log) for j in (0, 1))
    return [(x, a, b) for (x, a), (_, b) in zip(low, high, strict=True)]


def interval_figure(report: PoolReport) -> Figure:
    """Quality of each way to choose with its interval, best first."""
    singles = [row for row in report.rows if row.name.startswith(ALWAYS)][:8]
    others = [r for r in report.rows if not r.name.startswith(ALWAYS) and r.name != ZERO]
    rows = sorted([*singles, *others], key=lambda r: -r.quality.value)
    width, top, step = 600.0, 14.0, 22.0
    height = top + step * len(rows) + 46.0
    scale = report.scale
    ends = [v * scale for r in rows for v in _ends(r)]
    room = 0.03 * (max(ends) - min(ends) or 1.0)
    chart = Chart(
        width,
        height,
        Scale(min(ends) - room, max(ends) + room, 230.0, width - 14.0),
        Scale(len(rows), 0.0, top + step * len(rows), top),
    )
    for tick in chart.x.ticks():
        at = chart.x(tick)
        chart.parts.append(_rule(at, top, chart.y.start))
        chart.text(at, chart.y.start + 17, f"{tick:g}", anchor="middle", kind="tick")
    unit = "quality, %" if scale == 100.0 else f"quality, of {scale:g}"
    chart.text((chart.x.start + chart.x.end) / 2, height - 8, unit, anchor="middle", kind="name")
    routed = [r for r in report.rows if not r.name.startswith(ALWAYS) and r.kind != "baseline"]
    routed = [r for r in routed if r.name not in (LENGTH, TABLE)]
    for i, row in enumerate(rows):
        kind = f"c{routed.index(row) % COLOURS}" if row in routed else "quiet"
        low, high = (v * scale for v in _ends(row))
        middle = row.quality.value * scale
        title = f"{row.name}: {middle:.1f}, 95% from {low:.1f} to {high:.1f}"
        chart.curve([(low, i + 0.5), (high, i + 0.5)], kind=f"whisker {kind}")
        chart.dot(middle, i + 0.5, kind=f"point {kind}", title=title)
        name = row.name.removeprefix(ALWAYS)
        name = name if len(name) <= 32 else name[:31] + "…"
        chart.text(222.0, chart.y(i + 0.5) + 4, name, anchor="end", kind=f"row {kind}")
    caption = (
        "Mean quality of each way to choose, with its 95% interval; the eight best single models."
    )
    return Figure(chart.svg(f"{report.benchmark}: quality", caption), caption)


def _ends(row: PoolRow) -> tuple[float, float]:
    value = row.quality
    return (value.value, value.value) if math.isnan(value.low) else (value.low, value.high)


def _rule(x: float, top: float, bottom: float) -> Markup:
    return Markup('<line class="grid" x1="{0}" y1="{1}" x2="{0}" y2="{2}"></line>').format(
        f"{x:.1f}", f"{top:.1f}", f"{bottom:.1f}"
    )


def reliability_figure(row: Reliability) -> Figure:
    """What was scored over what was predicted, in bins of equal mass."""
    size = 236.0
    x, y = Scale(0.0, 1.0, 34.0, size - 8.0), Scale(0.0, 1.0, size - 34.0, 8.0)
    chart = Chart(size, size, x, y)
    for tick in (0.0, 0.5, 1.0):
        chart.parts.append(_rule(x(tick), y(1.0), y(0.0)))
        chart.text(x(tick), y(0.0) + 15, f"{tick:g}", anchor="middle", kind="tick")
        chart.text(x.start - 6, y(tick) + 4, f"{tick:g}", anchor="end", kind="tick")
    chart.curve([(0.0, 0.0), (1.0, 1.0)], kind="curve dotted")
    for b in row.bins:
        chart.curve([(b.predicted, b.low), (b.predicted, b.high)], kind="whisker c0")
        title = f"predicted {b.predicted:.2f}, scored {b.happened:.2f}, {b.prompts} prompts"
        chart.dot(b.predicted, b.happened, kind="point c0", title=title, radius=3.0)
    chart.text((x.start + x.end) / 2, size - 4, "predicted", anchor="middle", kind="name")
    skill = round(row.skill.value, 2) + 0.0  # no minus before nothing
    caption = f"{row.router}, {row.model}: ECE {row.ece:.3f}, Brier skill {skill:.2f}"
    return Figure(chart.svg(f"{row.router}, {row.model}: reliability", caption), caption)
