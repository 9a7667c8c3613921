"""What a judge's win rates were worth on outcomes: Platt scaling of each model, and the pair rule.

The judge says how well a cheap answer would do; each model's quality is a logistic function of that
(Platt 1999), fitted by `turnout train causal_llm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from turnout.errors import ArtifactError, RouterError
from turnout.routers.assembling import read_pair
from turnout.routers.base import OpenedArtifact
from turnout.routers.columns import Columns
from turnout.routers.judging import Spend
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.trained import ColumnRouter
from turnout.types import Candidate, Floats, Prediction, Query

MOST_FAILED = 0.1
"""Share of prompts without a usable answer from which nothing is fitted, and nothing is measured."""


class Judge(Protocol):
    """Gives win rates of texts."""

    @property
    def stated(self) -> Mapping[str, Any]:
        """JSON-ready: all that its answers depend on."""
        ...

    @property
    def spend(self) -> Spend:
        """What it was asked so far."""
        ...

    def rates(self, texts: Sequence[str]) -> list[float | RouterError]:
        """Win rate in [0, 1] of each of n texts, or why it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class CalibratedJudge(ColumnRouter):
    """Predicts with a judge whose rates were fitted to outcomes; opened from an artifact."""

    judge: Judge
    platt: Platt
    name: str = "causal_llm"
    waits: bool = True

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality and output tokens.

        Raises:
            RouterError: for some query the judge is gone, late, or gave no usable probabilities.
        """
        rates = whole(self.judge.rates([q.text for q in queries]))
        found = self.prediction(self.platt.apply(as_quality(rates)), candidates)
        note = f"judge {self.judge.stated['model']}: {self.spend}"
        return replace(found, notes=(note,) * len(queries))

    @property
    def spend(self) -> Spend:
        """What the judge was asked so far."""
        return self.judge.spend


def calibrated(judge: Judge, opened: OpenedArtifact) -> CalibratedJudge:
    """The judge with what an artifact says its rates are worth.

    Raises:
        ArtifactError: it was fitted to another judge, prompt or cut.
    """
    fitted = opened.manifest["judge"]
    for key, value in judge.stated.items():
        if fitted.get(key) != value:
            raise ArtifactError(
                f"{opened.where}: fitted to a judge with {key} {fitted.get(key)!r}, but the "
                f"options give {value!r}; give the same options or train it again"
            )
    part = {k.partition("/")[::2]: a for k, a in opened.arrays.items()}
    known = Reference.from_arrays({n: a for (kind, n), a in part.items() if kind == "reference"})
    names = tuple(opened.manifest["columns"]["names"])
    if len(names) != known.predicted.shape[1]:
        raise ArtifactError(
            f"{opened.where}: its manifest names {len(names)} columns, its arrays have "
            f"{known.predicted.shape[1]}; train it again"
        )
    return CalibratedJudge(
        judge=judge,
        fingerprint=opened.fingerprint,
        columns=Columns(names=names),
        platt=Platt.from_arrays({n: a for (kind, n), a in part.items() if kind == "platt"}),
        pair=read_pair(opened.manifest["pair"]),
        known=known,
    )


def as_quality(rates: Sequence[float]) -> Floats:
    """(n, 1) quality that the judge expects of a cheap answer: what the scaling starts from."""
    return 1.0 - np.asarray(rates, dtype=np.float32).reshape(-1, 1)


def whole(found: Sequence[float | RouterError]) -> list[float]:
    """All rates.

    Raises:
        RouterError: one is missing.
    """
    rates = []
    for rate in found:
        if isinstance(rate, RouterError):
            raise rate
        rates.append(rate)
    return rates
