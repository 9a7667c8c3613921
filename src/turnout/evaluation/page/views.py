"""A report as the page sees it: titles, figures and tables of plain cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turnout.evaluation.categories import CategoryRow
from turnout.evaluation.details import Details
from turnout.evaluation.headings import MEANINGS, METRICS, metric_cell, metric_range, present
from turnout.evaluation.intervals import Estimate
from turnout.evaluation.kinds import KINDS
from turnout.evaluation.page.cells import NONE, Cell, Section, Table, estimate_cell, named
from turnout.evaluation.page.charts import interval_figure, pair_figures, pool_figures
from turnout.evaluation.page.detail_views import detail_sections
from turnout.evaluation.pool_report import ALWAYS, PoolReport, PoolRow
from turnout.evaluation.report import HEADINGS, EvaluationReport, ReportRow
from turnout.evaluation.rules import NAMES


@dataclass(frozen=True, slots=True)
class View:
    """All that the template prints."""

    title: str
    facts: tuple[str, ...]
    verdicts: tuple[tuple[str, str], ...]
    """Outcome and sentence."""
    sections: tuple[Section, ...]
    details: Details
    notes: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]
    interval: str
    terms: tuple[tuple[str, str], ...] = field(default=())


def pair_view(report: EvaluationReport) -> View:
    """A report of two models."""
    figures = tuple(pair_figures(report))
    lead = (
        f"{report.strong}: {_quality(report.quality_strong, report.scale)}. "
        f"{report.weak}: {_quality(report.quality_weak, report.scale)}."
    )
    swept = sorted((row for row in report.rows if row.sweep), key=lambda row: row.name in NAMES)
    found = [(row.name, {**row.at_half, **row.sweep}) for row in swept]
    names = present(metrics for _, metrics in found)
    axis = "dollars" if report.cost_usd is not None else "calls"
    sections = [
        Section("curve", "Cost and quality", lead, figures, (_pair_table(report),)),
        *_knob_section(_pair_knob(report)),
        _metrics_section(found, names, report.scale, f"{axis}, one choice at half of the calls"),
        *_category_section(
            report.categories, report.scale, "With half of the calls to the strong model."
        ),
        *detail_sections(report.details),
    ]
    return View(
        title=report.benchmark,
        facts=_facts(report.prompts, report.groups, f"{report.strong} or {report.weak}"),
        verdicts=tuple((v.outcome, v.sentence) for v in report.verdicts),
        sections=tuple(sections),
        details=report.details,
        notes=report.notes,
        kinds=_kinds(report.rows),
        interval=_interval(report.replicates, report.seed),
        terms=PAIR_TERMS,
    )


def pool_view(report: PoolReport) -> View:
    """A report of any number of models."""
    figures = tuple(pool_figures(report)) or (interval_figure(report),)
    rows = [row for row in report.rows if not row.name.startswith(ALWAYS)]
    rows.sort(key=lambda row: row.name in NAMES)
    names = present((row.metrics for row in rows), without=("net_lift",))
    sections = [
        Section("curve", "Cost and quality", "", figures, (_pool_table(report),)),
        *_knob_section(_pool_knob(report)),
        _metrics_section([(r.name, r.metrics) for r in rows], names, report.scale, "dollars"),
        *_category_section(report.categories, report.scale, ""),
        *detail_sections(report.details),
    ]
    return View(
        title=report.benchmark,
        facts=_facts(report.prompts, report.groups, f"{len(report.models)} models"),
        verdicts=tuple((v.outcome, v.sentence) for v in report.verdicts),
        sections=tuple(sections),
        details=report.details,
        notes=report.notes,
        kinds=_kinds(report.rows),
        interval=_interval(report.replicates, report.seed),
        terms=POOL_TERMS,
    )


PAIR_TERMS = (
    ("APGR", "mean part of the quality gap recovered over all shares; 0.5 is a random mix"),
    ("CPT50, CPT80", "strong calls that recover 50%, 80% of the gap; lower is better"),
    ("exact, dollars", "over all cut points; over the extra dollars instead of calls"),
    ("less length", "APGR exact less that of sending longer prompts to the strong model"),
    ("oracle", "sorts by the recorded gain: hindsight, out of reach"),
)
POOL_TERMS = (
    ("best single", "the best model alone, picked with hindsight, so it is hard to beat"),
    ("zero router", "the best mixes of single models, which need no prediction"),
    ("AIQ", "mean height of the cost-quality hull from the cheapest to the dearest model"),
    ("net lift", "mean height above the zero router without hindsight; the answer rests on it"),
    ("attainable ceiling", "chooses by how other models did on the prompt: a bound that few reach"),
    ("oracle", "hindsight; mostly luck, and out of reach"),
)


def _facts(prompts: int, groups: int, models: str) -> tuple[str, ...]:
    return (f"{prompts:,} prompts", f"{groups:,} groups", models)


def _kinds(rows: Sequence[ReportRow] | Sequence[PoolRow]) -> tuple[tuple[str, str], ...]:
    here = {row.kind for row in rows}
    return tuple((kind, text) for kind, text in KINDS.items() if kind in here)


def _interval(replicates: int, seed: int) -> str:
    return (
        f"Small numbers are 95% intervals: {replicates:,} paired bootstrap replicates over groups of "
        f"near-duplicate prompts, seed {seed}."
    )


def _quality(estimate: Estimate, scale: float) -> str:
    low_high = ""
    if not math.isnan(estimate.low):
        low_high = f" ({estimate.low * scale:.1f} to {estimate.high * scale:.1f})"
    return f"{estimate.value * scale:.1f}{low_high}"


def _is_router(name: str, kind: str) -> bool:
    return name not in NAMES and kind not in ("baseline", "published")


def _pair_table(report: EvaluationReport) -> Table:
    """Routers first, then what they must beat, then what others published."""
    rows = []
    by_place = sorted(
        report.rows, key=lambda r: (r.kind == "published", not _is_router(r.name, r.kind))
    )
    for row in by_place:
        cells = [named(row.name, row.kind, row.remark, strong=_is_router(row.name, row.kind))]
        for name in HEADINGS:
            percent = name.startswith("cpt")
            unit, digits = (100.0, 1) if percent else (1.0, 3)
            cells.append(estimate_cell(row.metrics.get(name), unit=unit, digits=digits))
        rows.append((*cells, estimate_cell(row.difference, sign="+")))
    return Table(("", *HEADINGS.values(), "less length"), tuple(rows))


def _pool_table(report: PoolReport) -> Table:
    """Routers first, then what they must beat, then the models alone."""
    rows = []
    by_place = sorted(report.rows, key=lambda r: (r.name.startswith(ALWAYS), r.name in NAMES))
    for row in by_place:
        usd = NONE if math.isnan(row.cost_usd) else f"{row.cost_usd * 1000:.3f}"
        rows.append(
            (
                named(row.name, row.kind, row.remark, strong=_is_router(row.name, row.kind)),
                estimate_cell(row.quality, unit=report.scale, digits=1),
                Cell(usd),
                estimate_cell(row.difference, unit=report.scale, digits=1, sign="+"),
                *(Cell(NONE if math.isnan(v) else f"{v:.4f}") for v in (row.aiq, row.log_aiq)),
                estimate_cell(row.metrics.get("net_lift"), unit=report.scale, digits=2, sign="+"),
            )
        )
    head = ["", "quality", "USD per 1,000", "less best single", "AIQ", "log AIQ", "net lift"]
    kept = [0, 1, 3]
    if any(math.isfinite(row.cost_usd) for row in report.rows):
        kept = list(range(len(head)))
    return Table(tuple(head[j] for j in kept), tuple(tuple(r[j] for j in kept) for r in rows))


def _knob_section(table: Table) -> list[Section]:
    if not table.rows:
        return []
    lead = "Ask for these model names to get these points, with this artifact and these models."
    return [Section("knob", "The knob", lead, (), (table,))]


def _pair_knob(report: EvaluationReport) -> Table:
    rows = []
    for row in report.rows:
        for mark in row.marks:
            dollars = NONE if mark.share_usd is None else f"{mark.share_usd:.1%}"
            quality = Cell(f"{mark.quality * report.scale:.1f}")
            rows.append((Cell(mark.route), Cell(f"{mark.share:.1%}"), Cell(dollars), quality))
    head = ("route", "calls to the strong model", "of the extra dollars", "quality")
    return Table(head, tuple(rows))


def _pool_knob(report: PoolReport) -> Table:
    rows = [
        (
            Cell(mark.route),
            Cell(f"{mark.cost_usd * 1000:.3f}"),
            Cell(f"{mark.quality * report.scale:.1f}"),
        )
        for row in report.rows
        for mark in row.marks
    ]
    return Table(("route", "USD per 1,000", "quality"), tuple(rows))


def _metric(metrics: Mapping[str, Estimate], name: str, scale: float) -> Cell:
    shown = metric_cell(metrics, name, scale)
    return Cell(NONE) if shown == "-" else Cell(shown, metric_range(metrics, name, scale))


def _metrics_section(
    rows: Sequence[tuple[str, Mapping[str, Estimate]]],
    names: Sequence[str],
    scale: float,
    axis: str,
) -> Section:
    """One row for each metric, one column for each way to choose."""
    body = [
        (named(METRICS[name], MEANINGS[name]), *(_metric(found, name, scale) for _, found in rows))
        for name in names
    ]
    table = Table(("", *(name for name, _ in rows)), tuple(body))
    lead = f"The glossary has the formulas. Sweeps of a knob are over {axis}."
    return Section("metrics", "All metrics", lead, (), (table,))


def _category_section(rows: Sequence[CategoryRow], scale: float, lead: str) -> list[Section]:
    if not rows:
        return []
    ways = list(rows[0].quality)
    body = [
        (
            named(row.name, f"{row.prompts:,} prompts"),
            *(Cell(f"{row.quality[way] * scale:.1f}") for way in ways),
            Cell(f"{row.best_quality * scale:.1f}", row.best_model),
        )
        for row in rows
    ]
    table = Table(("", *ways, "best model there"), tuple(body))
    return [Section("categories", "By category", lead, (), (table,))]
