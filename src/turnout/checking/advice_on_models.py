"""Warnings about candidates and routes."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from turnout.checking.advice import Rule, Seen, warn
from turnout.checking.advice_on_access import unpriced_under_budget
from turnout.checking.findings import Finding
from turnout.names import plain_model
from turnout.settings import RouteSettings, Settings
from turnout.types import Candidate


def unpriced(seen: Seen) -> Iterator[Finding]:
    """Candidates whose cost nobody knows, where no budget is there to make it worse."""
    if any(unpriced_under_budget(seen)):
        return
    for i, candidate in enumerate(seen.opened.pool.candidates):
        if candidate.price is None:
            yield warn(
                "unpriced",
                f"candidates[{i}].price",
                f"{candidate.name} has no price and the list has none under {candidate.model!r}: what "
                "it costs and what routing saves is not known",
                "give its price, or check the name; a model that is free has a price of 0",
            )


def no_window(seen: Seen) -> Iterator[Finding]:
    """Candidates whose window nobody knows, beside others."""
    candidates = seen.opened.pool.candidates
    for i, candidate in enumerate(candidates):
        if candidate.context_tokens is None and len(candidates) > 1:
            yield warn(
                "no-window",
                f"candidates[{i}].context_tokens",
                f"the context window of {candidate.name} is not known: what is too long for it is "
                "sent to it all the same",
                "give context_tokens",
            )


def no_room(seen: Seen) -> Iterator[Finding]:
    """Candidates whose longest answer leaves no room for a question."""
    for i, candidate in enumerate(seen.opened.pool.candidates):
        window, most = candidate.context_tokens, candidate.max_output_tokens
        if window is not None and most is not None and most >= window:
            yield warn(
                "no-room",
                f"candidates[{i}].max_output_tokens",
                f"{most} tokens of output fill the whole window of {candidate.name} ({window})",
                "give the longest output, not the window",
            )


def same_model(seen: Seen) -> Iterator[Finding]:
    """Two candidates for one model: the router has nothing to choose between them."""
    known: dict[tuple[object, ...], Candidate] = {}
    for i, candidate in enumerate(seen.opened.pool.candidates):
        arm = (plain_model(candidate.model), candidate.effort, candidate.arm_output_tokens)
        other = known.setdefault(arm, candidate)
        if other is not candidate:
            yield warn(
                "same-model",
                f"candidates[{i}]",
                f"{candidate.name} is the same model as {other.name}: routing between them saves "
                "nothing",
                f"make it a replica of {other.name}: its load is shared, and either stands in",
            )


def upside_down(seen: Seen) -> Iterator[Finding]:
    """A first candidate that is not dearer than any other."""
    first, *others = seen.opened.pool.candidates
    own, prices = _usual(first), [_usual(c) for c in others]
    known = [p for p in prices if p is not None]
    if (
        own is not None
        and known
        and len(known) == len(prices)
        and own <= min(known)
        and own < max(known)
    ):
        yield warn(
            "order",
            "candidates[0]",
            f"candidates stand strongest first, but {first.name} is the cheapest of them: routing "
            "could save nothing",
            "put the strongest model first",
        )


def unreachable(seen: Seen) -> Iterator[Finding]:
    """Candidates that no request can come to."""
    settings = seen.settings
    if settings.allow_passthrough:
        return
    names = seen.opened.pool.names
    reached = {settings.default} | {r.serves for r in settings.routes.values()}
    if settings.mirror is not None:
        reached.add(settings.mirror.to)
    # Whoever knows a router's name may write a route out, unless each key's list says otherwise;
    # what counts here is what the settings offer.
    for route in _offered(settings):
        reached |= {name for name in names if _may_serve(route, name)}
    for i, name in enumerate(names):
        if name not in reached:
            yield warn(
                "unreachable",
                f"candidates[{i}]",
                f"no route of the settings can choose {name}, and allow_passthrough is off",
                "allow it in a route, or take it out",
            )


def _offered(settings: Settings) -> list[RouteSettings | None]:
    """The routes that the settings name; None is one without limits."""
    found: list[RouteSettings | None] = list(settings.routes.values())
    return found if settings.auto in settings.routes else [*found, None]


def _may_serve(route: RouteSettings | None, name: str) -> bool:
    if route is None:
        return True
    allowed = route.allow is None or any(fnmatchcase(name, p) for p in route.allow)
    return allowed and not any(fnmatchcase(name, p) for p in route.deny or ())


def _usual(candidate: Candidate) -> int | None:
    """A price to compare by: three tokens read for one written."""
    price = candidate.price
    return None if price is None else 3 * price.input_picousd + price.output_picousd


MODELS: tuple[Rule, ...] = (
    unpriced,
    no_window,
    no_room,
    same_model,
    upside_down,
    unreachable,
)
