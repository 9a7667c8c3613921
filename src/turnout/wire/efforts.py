"""Reasoning effort and thinking budgets: one table, read both ways.

OpenAI takes an effort; so do current Anthropic models (`output_config.effort`, with
`thinking: adaptive`), while older ones take a budget of tokens.

    effort    Anthropic's effort    budget, tokens    from a budget of at least
    none      thinking disabled     disabled
    minimal   low                   1,024
    low       low                   2,048             0
    medium    medium                8,192             8,192
    high      high                  24,576            24,576
    xhigh     xhigh                 32,768
    max       max                   49,152

A budget asks for `high` at most, since few models know the efforts above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.wire.reading import effort_of

LEAST_BUDGET = 1_024
"""Fewer thinking tokens Anthropic refuses."""

BUDGETS: Mapping[str, int] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 49_152,
}
"""Thinking tokens that an effort asks for."""

ANTHROPIC_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def effort_of_budget(budget: int) -> str:
    """The effort that a thinking budget asks for."""
    if budget >= BUDGETS["high"]:
        return "high"
    return "medium" if budget >= BUDGETS["medium"] else "low"


def effort_of_thinking(body: Mapping[str, Any]) -> str | None:
    """The effort that a Messages request asks for; None where it leaves it to the model."""
    thinking = body.get("thinking")
    form = thinking.get("type") if isinstance(thinking, Mapping) else None
    if form == "disabled":
        return "none"
    config = body.get("output_config")
    asked = effort_of(config.get("effort")) if isinstance(config, Mapping) else None
    if asked is None and form == "enabled" and isinstance(thinking, Mapping):
        budget = thinking.get("budget_tokens")
        return effort_of_budget(budget) if isinstance(budget, int) else None
    return asked
