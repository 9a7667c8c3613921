"""What a judge's win rates were worth on outcomes: Platt scaling of each model, and the pair rule.

The judge says how well a cheap answer would do; each model's quality is a logistic function of that
(Platt 1999), fitted by `turnout train causal_llm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from turnout.errors import ArtifactError, InputError, RouterError
from turnout.routers.assembling import read_pair
from turnout.routers.base import OpenedArtifact
from turnout.routers.columns import Columns
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.types import Candidate, Floats, PairRule, Prediction, Query


class Judge(Protocol):
    """Gives win rates of texts."""

    @property
    def stated(self) -> Mapping[str, Any]:
        """JSON-ready: all that its answers depend on."""
        ...

    def rates(self, texts: Sequence[str]) -> list[float | RouterError]:
        """Win rate in [0, 1] of each of n texts, or why it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class CalibratedJudge:
    """Predicts with a judge whose rates were fitted to outcomes; opened from an artifact."""

    judge: Judge
    fingerprint: str | None
    columns: Columns
    platt: Platt
    pair: PairRule
    known: Reference
    """Out of fold, beside the outcomes."""
    name: str = "causal_llm"
    waits: bool = True

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate must be a column.

        Raises:
            UnknownNameError: one is not.
        """
        self.columns.weights(candidates)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality and output tokens.

        Raises:
            RouterError: for some query the judge is gone, late, or gave no usable probabilities.
        """
        mix, basis = self.columns.weights(candidates)
        by_column = self.platt.apply(as_quality(whole(self.judge.rates([q.text for q in queries]))))
        tokens = self.known.mix(mix).mean_output_tokens()
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=np.clip(by_column @ mix, 0.0, 1.0),
            output_tokens=np.broadcast_to(tokens, (len(queries), len(candidates))),
            pair=self.pair,
            basis=basis,
        )

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """What is known of these candidates from the outcomes it was fitted to."""
        return self.known.mix(self.columns.weights(candidates)[0])

    def reference_win_rates(self, candidates: Sequence[Candidate]) -> Floats:
        """(r,) out-of-fold win rates of the first over the last of two candidates.

        Raises:
            InputError: not exactly two candidates.
        """
        if len(candidates) != 2:
            names = [c.name for c in candidates]
            raise InputError("candidates", names, "a win rate is between two models")
        predicted = self.reference(candidates).predicted
        return self.pair.win_rate(predicted[:, 0], predicted[:, 1])

    def threshold_for_share(self, candidates: Sequence[Candidate], share: float) -> float:
        """The threshold that calls the first of two candidates on this share of the reference."""
        cut = np.quantile(self.reference_win_rates(candidates), 1.0 - share)
        return float(np.format_float_positional(np.float32(cut)))


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
