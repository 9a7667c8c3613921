"""What is legal but likely wrong: each rule is a function that gives warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from turnout.checking.findings import Finding
from turnout.checking.opening import Opened
from turnout.checking.stores import StoreFacts
from turnout.settings import Settings


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules look at."""

    settings: Settings
    opened: Opened
    store: StoreFacts | None


Rule: TypeAlias = Callable[[Seen], Iterator[Finding]]


def warn(code: str, field: str, message: str, remedy: str) -> Finding:
    """A warning."""
    return Finding(level="warning", code=code, field=field, message=message, remedy=remedy)


def advise(seen: Seen) -> Iterator[Finding]:
    """The warnings of every rule."""
    from turnout.checking.advice_on_access import ACCESS
    from turnout.checking.advice_on_models import MODELS
    from turnout.checking.advice_on_upstreams import UPSTREAMS

    for rule in (*ACCESS, *MODELS, *UPSTREAMS):
        yield from rule(seen)
