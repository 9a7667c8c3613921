"""What a certificate can promise, as the mean of a bounded quantity that must be below 0.

* `floor` f: mean quality at least f times the strong model's. Per request: f s_strong - s_chosen.
* `max_loss` e: mean quality at most e below the strong model's. Per request:
  s_strong - s_chosen - e. A cheap answer that is *better* makes up for one that is worse; quality is
  a mean, and so is what is lost of it.
* `budget_usd` b: mean cost of a request at most b. Per request: cost - b.
* `strong_share` p: at most p of the requests go to the strong model. Per request: 1{strong} - p.

The mean is over all requests, or, for quality, over those that the strong model does not serve
(`risk="routed"`): others then count 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from turnout.errors import InputError

Kind = Literal["floor", "max_loss", "budget_usd", "strong_share"]
Risk = Literal["all", "routed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
QUALITY: tuple[Kind, ...] = ("floor", "max_loss")
"""Kinds that need labels and are safe at the strong model; the others are safe at the cheapest."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise about the mean over requests."""

    kind: Kind
    value: float
    risk: Risk = "all"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("promise", self.kind, f"give one of {', '.join(KINDS)}")
        if self.risk not in get_args(Risk):
            raise InputError("risk", self.risk, "give all or routed")
        top = float("inf") if self.kind == "budget_usd" else 1.0
        # A loss of 1 and a share of 1 promise nothing; a floor of 1 is an honest wish.
        good = 0.0 < self.value < top or (self.kind == "floor" and self.value == 1.0)
        if not good:
            raise InputError(self.kind, self.value, _EXAMPLES[self.kind])
        if self.risk == "routed" and not self.of_quality:
            raise InputError("risk", self.risk, "only a promise of quality has a routed share")

    @property
    def of_quality(self) -> bool:
        """Whether it is about quality, so that calling the strong model always keeps it."""
        return self.kind in QUALITY

    @property
    def higher_is_better(self) -> bool:
        """Whether the bound is a lower one."""
        return self.kind == "floor"

    def slack(self, facts: Facts, value: float | None = None) -> Values:
        """(g, k): per group, what must be below 0 on average where the promise is kept.

        Args:
            facts: what each of k points does on the requests of g groups.
            value: in place of the promise's own.
        """
        return facts.group_means(self._slack(facts, self.value if value is None else value))

    def _slack(self, facts: Facts, value: float) -> Values:
        """(n, k), by request."""
        if self.kind == "budget_usd":
            return facts.cost_usd - value
        if self.kind == "strong_share":
            return facts.to_strong - value
        if self.kind == "floor":
            found = value * facts.strong[:, None] - facts.chosen
        else:
            found = facts.strong[:, None] - facts.chosen - value
        return found * (1.0 - facts.to_strong) if self.risk == "routed" else found

    def span(self, most_usd: float, value: float | None = None) -> tuple[float, float]:
        """The range of `slack`; `most_usd` is the most that one request can cost."""
        at = self.value if value is None else value
        return {
            "floor": (-1.0, at),
            "max_loss": (-1.0 - at, 1.0 - at),
            "budget_usd": (-at, most_usd - at),
            "strong_share": (-at, 1.0 - at),
        }[self.kind]

    def measured(self, facts: Facts, point: int) -> float:
        """What was measured at a point, in the promise's own terms; NaN where nothing counts."""
        to_strong = facts.mean(facts.to_strong[:, point])
        if self.kind == "strong_share":
            return to_strong
        if self.kind == "budget_usd":
            return facts.mean(facts.cost_usd[:, point])
        counts = 1.0 - facts.to_strong[:, point] if self.risk == "routed" else np.ones(facts.n)
        total = facts.mean(counts)
        strong = facts.mean(counts * facts.strong)
        chosen = facts.mean(counts * facts.chosen[:, point])
        if self.kind == "floor":
            return chosen / strong if strong > 0 else float("nan")
        return (strong - chosen) / total if total > 0 else float("nan")

    def sentence(self, strong: str) -> str:
        """In words."""
        over = "over all traffic" if self.risk == "all" else f"over what {strong} does not serve"
        return {
            "floor": f"at least {self.value:.4g} of {strong}'s mean quality, {over}",
            "max_loss": f"at most {self.value:.4g} of mean quality below {strong}, {over}",
            "budget_usd": f"at most {self.value:.6g} USD a request on average",
            "strong_share": f"at most {self.value:.2%} of the requests go to {strong}",
        }[self.kind]

    def figure(self, value: float) -> str:
        """A value of what is promised, as people read it."""
        if self.kind == "budget_usd":
            return f"{value:.6f} USD"
        return f"{value:.2%}" if self.kind == "strong_share" else f"{value:.4f}"


_EXAMPLES = {
    "floor": "give a share of the strong model's quality above 0 and up to 1, such as 0.95",
    "max_loss": "give a loss of mean quality between 0 and 1, such as 0.02",
    "budget_usd": "give USD a request above 0, such as 0.002",
    "strong_share": "give a share between 0 and 1, such as 0.3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What k operating points do on n requests of g groups.

    Near-duplicates form a group, and a group counts once, by its mean: ten copies of one prompt
    tell no more than one.
    """

    strong: Values
    """(n,) quality of the strong model; NaN where promises need none."""
    chosen: Values
    """(n, k) quality of the model chosen; NaN where promises need none."""
    cost_usd: Values
    """(n, k) cost of the call chosen; NaN where promises need none."""
    to_strong: Values
    """(n, k) 1 where the strong model is chosen, else 0."""
    groups: NDArray[np.intp]
    """(n,) numbered from 0 without gaps."""

    @property
    def n(self) -> int:
        """Requests."""
        return len(self.groups)

    @property
    def g(self) -> int:
        """Groups."""
        return int(self.groups.max()) + 1 if self.n else 0

    def group_means(self, values: Values) -> Values:
        """(g, …) means over the members of each group of (n, …) values."""
        order = np.argsort(self.groups, kind="stable")
        starts = np.searchsorted(self.groups[order], np.arange(self.g))
        sizes = np.bincount(self.groups, minlength=self.g).astype(np.float64)
        total = np.add.reduceat(values[order], starts, axis=0)
        return np.asarray(total / sizes.reshape(-1, *(1,) * (values.ndim - 1)))

    def firsts(self) -> NDArray[np.intp]:
        """(g,) the first row of each group."""
        return np.unique(self.groups, return_index=True)[1]

    def mean(self, values: Values) -> float:
        """Mean over groups of (n,) values."""
        return float(self.group_means(values).mean())
