"""Prices and abilities of a deployment in LiteLLM's words, as settings of a candidate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from turnout.importing.notes import Notes, number
from turnout.types import CAPABILITIES

_RATES = {
    "input_cost_per_token": "input_usd",
    "output_cost_per_token": "output_usd",
    "cache_read_input_token_cost": "cache_read_usd",
    "cache_creation_input_token_cost": "cache_write_usd",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_usd",
    "output_cost_per_reasoning_token": "reasoning_usd",
}
"""USD a token → USD per million tokens."""
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens\Z")
_COST = re.compile(r"_cost(_per|\Z)|_token_cost")
_ABILITIES = {
    "supports_function_calling": "tools",
    "supports_response_schema": "json_schema",
    "supports_vision": "vision",
    "supports_audio_input": "audio",
    "supports_pdf_input": "files",
}


def is_price(key: str) -> bool:
    """Whether a parameter is a price."""
    return bool(_COST.search(key))


def price_of(given: Mapping[str, Any], where: str, notes: Notes) -> dict[str, Any]:
    """The price that a deployment states, as settings; empty where it states none.

    Args:
        given: `litellm_params` and `model_info`, together.
        where: of the deployment in the source.
        notes: told of prices that have no counterpart.
    """
    found: dict[str, Any] = {}
    above: dict[int, dict[str, float]] = {}
    for key in filter(is_price, given):
        usd = number(given, key)
        plain, start = (key, None) if key in _RATES else _split(key)
        if usd is None or plain not in _RATES:
            if given[key] is not None:
                notes.leave(f"{where}: {key}", "prices here are by the token", given[key])
        elif start is None:
            found[_RATES[plain]] = per_million(usd)
        else:
            above.setdefault(start, {})[_RATES[plain]] = per_million(usd)
    if not found:
        return {}
    for side in ("input_usd", "output_usd"):
        if side not in found:
            found[side] = 0.0
            notes.change(f"{where}: its {side[:-4]} price", "is not stated, and counts as 0")
    if above:
        found["above"] = {start: above[start] for start in sorted(above)}
    return found


def _split(key: str) -> tuple[str, int | None]:
    tiered = _ABOVE.match(key)
    return (tiered[1], int(tiered[2]) * 1000) if tiered else (key, None)


def per_million(usd: float) -> float:
    """USD per million tokens, without the dust of binary fractions."""
    return float(Decimal(str(usd)) * 10**6)


def window_of(info: Mapping[str, Any]) -> dict[str, int]:
    """The window and the longest answer that `model_info` states."""
    found = {}
    window, most = number(info, "max_input_tokens"), number(info, "max_output_tokens")
    if most is None:
        most = number(info, "max_tokens")
    if window:
        found["context_tokens"] = int(window)
    if most and (not window or most < window):
        found["max_output_tokens"] = int(most)
    return found


def capabilities_of(info: Mapping[str, Any]) -> list[str] | None:
    """What a model can do, where `model_info` says that it cannot do some of it; else None."""
    barred = {_ABILITIES[key] for key in _ABILITIES if info.get(key) is False}
    return [c for c in CAPABILITIES if c not in barred] if barred else None


KNOWN_INFO = frozenset({
    "id", "mode", "base_model", "max_input_tokens", "max_output_tokens", "max_tokens", *_ABILITIES,
})  # fmt: skip
"""What of `model_info` is read, prices beside."""
