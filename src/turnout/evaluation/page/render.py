"""The page's template, filled. Everything that is not markup of our own is escaped."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from turnout.evaluation.page.views import pair_view, pool_view
from turnout.evaluation.pool_report import PoolReport
from turnout.evaluation.report import EvaluationReport


def render(report: EvaluationReport | PoolReport) -> str:
    """One HTML document: style and drawings inside, no script, nothing to fetch."""
    view = pool_view(report) if isinstance(report, PoolReport) else pair_view(report)
    return _template().render(view=view, style=_read("style.css"))


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
