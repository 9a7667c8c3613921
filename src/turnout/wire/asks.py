"""What a request asks of routing itself: `x-turnout-*` headers and a `turnout` object in its body.

The object is taken out before the request goes upstream. A field of the body stands before the header
of the same name: a client sets headers once and bodies each time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from turnout.errors import RequestError, suggest
from turnout.wire.reading import OBJECT, Kind, kind

FIELD = "turnout"
"""The field of a body."""
HEADER = "x-turnout-"
OTHER_HEADERS = frozenset({
    "x-turnout-session", "x-turnout-user", "x-turnout-cache", "x-turnout-timeout-ms",
    "x-turnout-hop",
})  # fmt: skip
"""Request headers that others read."""
MOST_NAMES = 64
"""Names or patterns in one list."""
LONGEST_NAME = 200
_NUMBER = re.compile(r"\d{0,15}(?:\.\d{0,15})?(?:[eE][-+]?\d{1,3})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What one request asks of routing; None and empty ask for nothing."""

    router: str | None = None
    """Which router predicts."""
    threshold: float | None = None
    """From 0 (best) to 1 (cheapest)."""
    strong_share: float | None = None
    """Of requests to the strongest model, by what the router remembers."""
    floor: float | None = None
    """Of the strong model's mean quality, as a certificate promises."""
    max_loss: float | None = None
    """Of mean quality below the strong model, as a certificate promises."""
    willingness_to_pay_usd: float | None = None
    """What one good answer is worth, in place of one that is no good."""
    max_cost_usd: float | None = None
    """Of each call for this request."""
    allow: tuple[str, ...] | None = None
    """Candidates that may serve, by name or pattern."""
    deny: tuple[str, ...] | None = None
    """Candidates that may not."""
    pin: str | None = None
    """The one candidate that may serve."""
    decision_only: bool = False
    explain: bool = False

    def given(self) -> dict[str, Any]:
        """What is asked, JSON-ready; empty where nothing is."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value is not None and value is not False
        }

    @property
    def knob(self) -> str | None:
        """Which of the knobs is given."""
        return next((name for name in KNOBS if getattr(self, name) is not None), None)


NOTHING = Asks()
KNOBS = ("threshold", "strong_share", "floor", "max_loss", "willingness_to_pay_usd")
"""Ways to say how much quality for how much money; at most one is given."""


def read_asks(headers: Mapping[str, str], body: Mapping[str, Any]) -> Asks:
    """What a request asks of routing.

    Args:
        headers: names in lower case.
        body: the request's fields.

    Raises:
        RequestError: a field that does not exist, a value that makes no sense, or two knobs.
    """
    asked = _of_headers(headers)
    if FIELD in body:
        own = _of_body(body[FIELD])
        if any(name in own for name in KNOBS):
            asked = {name: value for name, value in asked.items() if name not in KNOBS}
        asked |= own
    return Asks(**asked) if asked else NOTHING


def _of_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if HEADER not in "\n".join(headers):  # as of most requests
        return found
    for name, text in headers.items():
        if name.startswith(HEADER) and name not in OTHER_HEADERS:
            field = name.removeprefix(HEADER).replace("-", "_")
            if field not in _READERS:
                known = [HEADER + f.replace("_", "-") for f in _READERS]
                raise RequestError(name, Kind("this header"), _unknown(name, known))
            found[field] = _READERS[field](name, _value_of(field, text.strip()))
    return _one_knob(found, lambda field: HEADER + field.replace("_", "-"))


def _of_body(given: Any) -> dict[str, Any]:
    if not isinstance(given, OBJECT):
        remedy = 'give an object, such as {"threshold": 0.3}'
        raise RequestError(FIELD, kind(given), remedy)
    for name in given:
        if name not in _READERS:
            field = f"{FIELD}.{name[:LONGEST_NAME]}"
            raise RequestError(field, Kind("this field"), _unknown(name, list(_READERS)))
    found = {
        name: _READERS[name](f"{FIELD}.{name}", value)
        for name, value in given.items()
        if value is not None
    }
    return _one_knob(found, lambda field: f"{FIELD}.{field}")


def _unknown(name: str, known: list[str]) -> str:
    return f"there is none of this name.{suggest(name, known)} Known: {', '.join(known)}"


def _one_knob(found: dict[str, Any], label: Callable[[str], str]) -> dict[str, Any]:
    knobs = [name for name in KNOBS if name in found]
    if len(knobs) > 1:
        remedy = f"give one of {', '.join(map(label, knobs))}: each sets the same knob"
        raise RequestError(label(knobs[0]), found[knobs[0]], remedy)
    return found


def _value_of(field: str, text: str) -> Any:
    """A header's text as JSON would have it; a reader refuses what is left a text."""
    if field in ("allow", "deny"):
        return [part.strip() for part in text.split(",")]
    if field in ("decision_only", "explain"):
        return {"true": True, "false": False}.get(text, text)
    if field in _NUMBERS and text and _NUMBER.match(text):
        try:
            return float(text)
        except ValueError:  # "." alone, or no digits before an exponent
            return text
    return text


def _share(field: str, value: Any) -> float:
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise RequestError(field, _shown(value), "give a number from 0 to 1")
    return number


def _part(field: str, value: Any) -> float:
    number = _number(value)
    if number is None or not 0.0 < number <= 1.0:
        raise RequestError(field, _shown(value), "give a number above 0 and up to 1")
    return number


def _usd(field: str, value: Any) -> float:
    number = _number(value)
    if number is None or not 0.0 < number <= 1e6:
        raise RequestError(field, _shown(value), "give USD above 0, such as 0.002")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RequestError(field, _shown(value), "give true or false")
    return value


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise RequestError(field, _shown(value), "give a name; GET /v1/models lists them")
    return value


def _names(field: str, value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_NAMES:
        remedy = f'give a list of 1 to {MOST_NAMES} candidates or patterns, such as ["gpt-*"]'
        raise RequestError(field, _shown(value), remedy)
    return tuple(_name(f"{field}[{i}]", name) for i, name in enumerate(given))


def _shown(value: Any) -> Any:
    """Our own fields hold no prompt: plain values are shown, others named by their kind."""
    return value if value is None or isinstance(value, str | int | float) else kind(value)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "router": _name,
    "threshold": _share,
    "strong_share": _share,
    "floor": _part,
    "max_loss": _part,
    "willingness_to_pay_usd": _usd,
    "max_cost_usd": _usd,
    "allow": _names,
    "deny": _names,
    "pin": _name,
    "decision_only": _flag,
    "explain": _flag,
}
_NUMBERS = frozenset(
    {"threshold", "strong_share", "floor", "max_loss", "willingness_to_pay_usd", "max_cost_usd"}
)
