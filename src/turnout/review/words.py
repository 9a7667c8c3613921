"""Numbers of a review as people read them."""

from __future__ import annotations

from turnout.evaluation.intervals import Estimate


def percent(e: Estimate) -> str:
    """`41.2% [38.0 44.1]`."""
    if e.value != e.value:
        return "unknown"
    if e.low != e.low:
        return f"{e.value:.1%}"
    return f"{e.value:.1%} [{e.low * 100:.1f} {e.high * 100:.1f}]"


def interval(e: Estimate) -> str:
    """`0.712 [0.690 0.733]`."""
    if e.value != e.value:
        return "unknown"
    return f"{e.value:.3f}" if e.low != e.low else f"{e.value:.3f} [{e.low:.3f} {e.high:.3f}]"


def usd(value: float) -> str:
    """Dollars with as many digits as they need."""
    if value != value:
        return "unknown"
    if value == 0 or abs(value) >= 1:
        return f"{value:,.2f}"
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.6f}"


def decimal(value: float) -> str:
    """Three decimals, or nothing."""
    return "" if value != value else f"{value:.3f}"


def floor(value: float) -> str:
    """`95%` or `97.5%`."""
    return f"{value:.0%}" if round(value * 100, 6) == round(value * 100) else f"{value:.1%}"
