"""The dashboard's page, filled: text nodes alone, everything that is not markup of our own is escaped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.dashboard.figures import Figures
from turnout.templates import read, template

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""With every answer. No script may run, not even one of ours: there is none."""
SPANS = {1: "1 hour", 24: "24 hours", 168: "7 days", 720: "30 days"}
"""Hours that can be looked at."""
_HERE = "turnout.dashboard"
_BARS_WIDTH, _BARS_HEIGHT = 720.0, 120.0


def page(
    figures: Figures,
    *,
    hours: int,
    targets: Sequence[tuple[str, str, int]],
    css: str,
    semantic: Mapping[str, Any] | None = None,
) -> str:
    """The document.

    Args:
        figures: of the span of time.
        hours: its length, one of `SPANS`.
        targets: name, state of its breaker and calls under way of each upstream.
        css: the address of the style.
        semantic: state of the semantic cache; None where there is none.
    """
    return template(_HERE, "page.html", _FILTERS).render(
        f=figures,
        hours=hours,
        spans=SPANS,
        targets=targets,
        css=css,
        bars=_bars(figures),
        semantic=semantic,
    )


def style() -> bytes:
    """The style sheet."""
    return read(_HERE, "page.css").encode()


def _bars(figures: Figures) -> list[tuple[float, float, float, str]]:
    """x, y and height of each hour's bar, and what it says."""
    most = max((spent for _, spent in figures.hourly_picousd), default=0)
    width = _BARS_WIDTH / max(1, len(figures.hourly_picousd))
    found = []
    for i, (at_ms, spent) in enumerate(figures.hourly_picousd):
        height = _BARS_HEIGHT * spent / most if most else 0.0
        said = f"{_when(at_ms)}: {_usd(spent)}"
        found.append((round(i * width, 2), round(_BARS_HEIGHT - height, 2), round(height, 2), said))
    return found


def _usd(picousd: int | None) -> str:
    if picousd is None:
        return "-"
    usd = picousd / 1e12
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.6f}"


def _when(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms / 1000)) + " UTC"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


_FILTERS = {"usd": _usd, "when": _when, "share": _share, "count": "{:,}".format}
