"""What a report has beside its rows: calibration, robustness, latency, examples, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.evaluation.examples import Example
from turnout.evaluation.intervals import Estimate
from turnout.evaluation.latency import Latency
from turnout.evaluation.provenance import Provenance
from turnout.evaluation.reliability import Reliability
from turnout.evaluation.robustness import RobustnessRow
from turnout.evaluation.tables import align, cell

MOST_MODELS = 4
"""Models of a router that are listed alone in the text; of more, the mean and the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Empty where nothing was asked for."""

    reliability: tuple[Reliability, ...] = ()
    robustness: tuple[RobustnessRow, ...] = ()
    latency: tuple[Latency, ...] = ()
    examples: tuple[Example, ...] = ()
    provenance: Provenance | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "reliability": [row.to_dict() for row in self.reliability],
            "robustness": [row.to_dict() for row in self.robustness],
            "latency": [row.to_dict() for row in self.latency],
            "examples": [row.to_dict() for row in self.examples],
            "provenance": None if self.provenance is None else self.provenance.to_dict(),
        }

    def lines(self) -> list[str]:
        """As text; examples are left to the files, since their prompts are."""
        return [
            *_reliability_lines(self.reliability),
            *_robustness_lines(self.robustness),
            *(
                f"{row.router}: a prediction takes {row.p50_ms:.2f} ms at the median, "
                f"{row.p99_ms:.2f} ms at p99 ({row.prompts} prompts, one at a time)"
                for row in self.latency
            ),
            *([""] if self.latency else []),
        ]


def _reliability_lines(rows: Sequence[Reliability]) -> list[str]:
    if not rows:
        return []
    table = [["calibration", "of", "Brier", "skill", "ECE"]]
    for router in dict.fromkeys(row.router for row in rows):
        mine = [row for row in rows if row.router == router]
        for row in mine if len(mine) <= MOST_MODELS else ():
            cells = [cell(row.brier), cell(row.skill), f"{row.ece:.3f}"]
            table.append([router, row.model, *cells])
        if len(mine) > MOST_MODELS:
            worst = max(mine, key=lambda row: row.ece)
            means = (np.mean([getattr(r, f).value for r in mine]) for f in ("brier", "skill"))
            ece = f"{np.mean([r.ece for r in mine]):.3f}"
            cells = [*(cell(Estimate(float(v))) for v in means), ece]
            table.append([router, f"mean of {len(mine)} models", *cells])
            cells = [cell(worst.brier), cell(worst.skill), f"{worst.ece:.3f}"]
            table.append([router, f"worst ECE: {worst.model}", *cells])
    return [*align(table), ""]


def _robustness_lines(rows: Sequence[RobustnessRow]) -> list[str]:
    if not rows:
        return []
    table = [["robustness", "change", "flips", "upgrades", "strong share before", "after"]]
    for row in rows:
        change = f"gadget: {row.change}" if row.is_gadget else row.change
        shares = [f"{share:.1%}" for share in row.strong_share]
        rates = [cell(rate, percent=True) for rate in (row.flips, row.upgrades)]
        table.append([row.router, change, *rates, *shares])
    return [*align(table), ""]
