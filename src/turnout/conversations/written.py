"""A conversation as text that another process goes on with: names of the settings, counts and times.

No word of what was said is in it. Times are written as ages, in seconds: the clocks of two processes have
nothing in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from turnout.conversations.table import Held, Warm

_FORM = 1
"""Of the text; another one is not read."""
_NAMES = ("candidate", "target", "provider", "model", "wanted")
_COUNTS = (
    "requests", "messages", "input_tokens", "first_input_tokens", "output_tokens", "counted_tokens",
    "errors_seen", "tasks",
)  # fmt: skip
_LONGEST_NAME = 1000
_MOST_WARM = 1000
_LARGEST = 10**12


def write_held(held: Held, *, keep_s: float, now: float) -> str:
    """A conversation as JSON.

    Args:
        held: the conversation.
        keep_s: how long the text will be kept.
        now: as `held.at`.
    """
    made: dict[str, Any] = {"form": _FORM, "keep_s": keep_s, "age_s": now - held.at}
    made |= {name: getattr(held, name) for name in (*_NAMES, *_COUNTS)}
    made["warm"] = {name: [warm.tokens, now - warm.at] for name, warm in held.warm.items()}
    return orjson.dumps(made).decode()


def read_held(text: str, *, left_s: float, now: float) -> Held:
    """A conversation from JSON.

    Args:
        text: as `write_held` made it.
        left_s: how much longer it will be kept, which says when it was written.
        now: monotonic seconds of this process.

    Raises:
        ValueError: it is something else, or of another form.
    """
    made = orjson.loads(text)
    if not isinstance(made, dict) or made.get("form") != _FORM:
        raise ValueError("not a conversation of this form")
    names = {name: _name(made.get(name)) for name in _NAMES}
    counts = {name: int(_number(made.get(name))) for name in _COUNTS}
    counts["tasks"] = max(counts["tasks"], 1)  # it divides
    then = now - max(0.0, _number(made.get("keep_s")) - left_s)
    warm = made.get("warm")
    if not isinstance(warm, Mapping) or len(warm) > _MOST_WARM:
        raise ValueError("not what is cached of a conversation")
    at = then - _number(made.get("age_s"))
    return Held(**names, **counts, at=at, warm={n: _warm(w, then) for n, w in warm.items()})  # type: ignore[arg-type]


def _warm(given: Any, then: float) -> Warm:
    if not isinstance(given, list) or len(given) != 2:
        raise ValueError("not what is cached of a conversation")
    return Warm(tokens=_number(given[0]), at=then - _number(given[1]))


def _name(given: Any) -> str:
    if not isinstance(given, str) or len(given) > _LONGEST_NAME:
        raise ValueError("not a name")
    return given


def _number(given: Any) -> float:
    plain = isinstance(given, int | float) and not isinstance(given, bool)
    if not plain or not math.isfinite(given) or not 0 <= given <= _LARGEST:
        raise ValueError("not a count, or not an age")
    return float(given)
