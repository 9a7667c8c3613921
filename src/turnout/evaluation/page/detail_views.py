"""The sections of what a report has beside its rows."""

from __future__ import annotations

from turnout.evaluation.details import Details
from turnout.evaluation.page.cells import Cell, Section, Table, estimate_cell, named
from turnout.evaluation.page.charts import reliability_figure

MOST_PLOTS = 12
"""Reliability plots; the table has all models."""


def detail_sections(details: Details) -> list[Section]:
    """Calibration, robustness and decision times, as far as they were measured."""
    return [*_reliability(details), *_robustness(details), *_latency(details)]


def _reliability(details: Details) -> list[Section]:
    if not details.reliability:
        return []
    plots = tuple(reliability_figure(row) for row in details.reliability[:MOST_PLOTS])
    rows = tuple(
        (
            named(row.model, row.router),
            estimate_cell(row.brier),
            estimate_cell(row.skill),
            Cell(f"{row.ece:.3f}"),
        )
        for row in details.reliability
    )
    lead = (
        "Does a predicted quality mean what it says? Skill: 0 is no better than each model's mean, 1 "
        "is perfect. ECE: mean gap between predicted and scored, 15 bins of equal mass."
    )
    table = Table(("", "Brier", "skill", "ECE"), rows)
    return [Section("calibration", "Calibration", lead, plots, (table,), small=True)]


def _robustness(details: Details) -> list[Section]:
    if not details.robustness:
        return []
    rows = tuple(
        (
            named(row.change, f"{row.router}{' · gadget' if row.is_gadget else ''}"),
            estimate_cell(row.flips, unit=100, digits=1),
            estimate_cell(row.upgrades, unit=100, digits=1),
            *(Cell(f"{share:.1%}") for share in row.strong_share),
        )
        for row in details.robustness
    )
    lead = (
        "Prompts reworded in ways that should change nothing, and gadgets: short prefixes found by hill "
        "climbing that buy the strongest model, measured on prompts they were not found on."
    )
    head = ("", "flips, %", "upgrades, %", "strong share before", "after")
    return [Section("robustness", "Robustness", lead, (), (Table(head, rows),))]


def _latency(details: Details) -> list[Section]:
    if not details.latency:
        return []
    rows = tuple(
        (
            named(row.router, f"{row.prompts} prompts"),
            Cell(f"{row.p50_ms:.2f}"),
            Cell(f"{row.p99_ms:.2f}"),
        )
        for row in details.latency
    )
    table = Table(("", "p50, ms", "p99, ms"), rows)
    lead = "One prediction at a time, on the machine that made this page."
    return [Section("latency", "Decision time", lead, (), (table,))]
