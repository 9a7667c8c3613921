"""The page's template, filled. Everything that is not markup of our own is escaped."""

from __future__ import annotations

from turnout.evaluation.page.views import pair_view, pool_view
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.report import EvaluationReport
from turnout.templates import read, template

_HERE = "turnout.evaluation.page"


def render(report: EvaluationReport | PoolReport) -> str:
    """One HTML document: style and drawings inside, no script, nothing to fetch."""
    view = pool_view(report) if isinstance(report, PoolReport) else pair_view(report)
    return template(_HERE, "report.html").render(view=view, style=read(_HERE, "style.css"))
