"""`"router-mf-0.45"` ⇄ `RouteSpec`: RouteLLM's model names, parsed and formatted side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from turnout.errors import RouteNameError, UnknownNameError

PREFIX = "router-"
_DECIMAL = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)\Z", re.ASCII)
_NUMBER = re.compile(r"-?[\d.]+(?:e[-+]?\d+)?\Z", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A router and its knob.

    With two candidates the strong model is called where the win rate is at least `threshold`; with
    more, `threshold` is the share of the possible saving to take: 0 is best quality, 1 is cheapest.
    """

    router: str
    threshold: float
    usd_per_quality: float | None = None
    """What a full unit of quality is worth: where given, candidates are weighed by it, and the
    threshold plays no part."""

    @property
    def knob(self) -> float | None:
        """The threshold, where it decides."""
        return self.threshold if self.usd_per_quality is None else None


def is_route(model: str) -> bool:
    """Whether a model name asks for a route (it may still be malformed)."""
    return model.startswith(PREFIX)


def format_route(spec: RouteSpec) -> str:
    """The model name that `parse_route` reads back to the same spec."""
    number = f"{Decimal(repr(float(spec.threshold))):f}".rstrip("0").rstrip(".")
    return f"{PREFIX}{spec.router}-{number}"


def parse_route(model: str, *, routers: Iterable[str], field: str = "model") -> RouteSpec:
    """Read a route name.

    Args:
        model: such as `router-mf-0.45`.
        routers: names that exist, for the check and for the message.
        field: what to call the value in errors.

    Raises:
        RouteNameError: not of the form `router-NAME-THRESHOLD`, or a threshold outside [0, 1].
        UnknownNameError: no such router.
    """
    known = sorted(routers)
    form = f"give router-NAME-THRESHOLD, such as {PREFIX}{known[0] if known else 'mf'}-0.5"
    listed = f"routers here: {', '.join(known) or 'none'}"
    if not isinstance(model, str) or not is_route(model):
        raise RouteNameError(field, model, f"{form}; {listed}")
    name, dash, number = _split(model.removeprefix(PREFIX), known)
    if not name:
        lacking = "router" if dash else "threshold"
        raise RouteNameError(field, model, f"the {lacking} is missing; {form}; {listed}")
    if name not in known:
        raise UnknownNameError("router", name, known)
    if not _DECIMAL.match(number) or not 0.0 <= float(number) <= 1.0:
        raise RouteNameError(
            field,
            model,
            f"the threshold must be a decimal number from 0 to 1, not {number!r}; {form}",
        )
    return RouteSpec(name, float(number))


def _split(rest: str, known: Iterable[str]) -> tuple[str, str, str]:
    """Router, dash and threshold. In `mf--0.5` and `mf-1e-05` the last dash is the number's."""
    for name in known:
        number = rest.removeprefix(f"{name}-")
        if number != rest and _NUMBER.match(number):
            return name, "-", number
    return rest.rpartition("-")
