"""Limits as they are counted: whose, of what, over which time, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from turnout.settings.access import LimitSettings, Window
from turnout.types import PICO

Kind: TypeAlias = Literal["usd", "requests", "tokens", "concurrent"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one owner.

    `cap` is in picodollars for `usd`, in pieces else; `requests` and `tokens` count over any 60
    seconds, `concurrent` at once.
    """

    owner: str
    """`key:ID`, `team:NAME` or `all`; what is counted is counted under it."""
    kind: Kind
    cap: int
    window: Window | None = None
    """Of `usd` alone."""
    called: str = ""
    """The owner in words, for those who are refused: "key ci"."""
    id: str = field(init=False)
    """What it is counted under."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.owner}/{self.window or self.kind}")

    def sentence(self) -> str:
        """The limit in words."""
        if self.kind == "usd":
            span = "in total" if self.window == "total" else f"a {self.window}"
            return f"the budget of {self.called} (${usd(self.cap)} {span})"
        what = {
            "requests": "requests a minute",
            "tokens": "tokens a minute",
            "concurrent": "requests at once",
        }
        return f"the limit of {self.called} ({self.cap} {what[self.kind]})"


def limits_of(given: LimitSettings, owner: str, called: str) -> tuple[Limit, ...]:
    """The limits that settings set for an owner; what is cheap to check stands first."""
    counts: tuple[tuple[Kind, int | None], ...] = (
        ("concurrent", given.concurrent),
        ("requests", given.requests_per_minute),
        ("tokens", given.tokens_per_minute),
    )
    rates = tuple(Limit(owner, kind, cap, None, called) for kind, cap in counts if cap is not None)
    budgets = tuple(
        Limit(owner, "usd", picousd(cap), window, called)
        for window, cap in given.budgets_usd.items()
    )
    return rates + budgets


def picousd(amount_usd: float) -> int:
    """USD as whole picodollars."""
    return round(amount_usd * PICO)


def usd(amount_picousd: int) -> str:
    """Picodollars as USD, in as few digits as say it exactly, but two."""
    whole, rest = divmod(abs(amount_picousd), PICO)
    digits = f"{rest:012d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount_picousd < 0 else ''}{whole}.{digits}"
