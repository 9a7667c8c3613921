"""A report as one self-contained HTML file: no network, no script."""

from __future__ import annotations

from turnout.evaluation.page.render import render

__all__ = ["render"]
