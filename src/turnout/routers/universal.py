"""One predictor for hundreds of models: query factors times model vectors (see `space`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from turnout.errors import ArtifactError
from turnout.routers.abroad import Abroad
from turnout.routers.arrays import sigmoid
from turnout.routers.base import OpenedArtifact
from turnout.routers.by_candidates import ByCandidates
from turnout.routers.columns import name_forms
from turnout.routers.factors import Factors, TextFactors
from turnout.routers.inputs import Inputs, RawRows
from turnout.routers.own import Own, part
from turnout.routers.priors import Arm, PricePrior, arm_prior
from turnout.routers.reference import Reference, ShareKnob
from turnout.routers.remembered import Remembered, output_tokens
from turnout.routers.space import ModelSpace
from turnout.types import Candidate, Floats, PairRule, Prediction, Query, split_arm, texts


@dataclass(frozen=True, slots=True)
class _Mix:
    """The candidates' vectors: looked up once."""

    index: tuple[int | None, ...]
    """Place in the space; None is the prior."""
    vectors: Floats
    """(m, K)"""
    variance: Floats
    """(m, K)"""
    tokens: Floats
    """(m,) log offsets, NaN where unknown."""
    basis: tuple[str, ...]
    abroad: Floats
    """(m,) abilities on prompts of kinds not seen; NaN where the space alone speaks."""
    own: tuple[int | None, ...]
    """Column of the user's own fit; None where it does not know the model."""


@dataclass(frozen=True, kw_only=True)
class Universal(ShareKnob):
    """Predicts any known model's quality, its spread, and its output tokens.

    A candidate that the space does not know stands at the prior, and the decision's `basis` says
    "prior: …". The spread is that of a vector's posterior, by the delta method: it says how little
    is known of a model, not how uncertain one answer is.
    """

    name: str
    fingerprint: str | None
    text: TextFactors
    space: ModelSpace
    aliases: Mapping[str, str]
    """Other normalised names → key in the space."""
    pair: PairRule
    known: Remembered
    price_prior: PricePrior | None = None
    """Where an unknown candidate with a price stands; None leaves it at the mean of all."""
    abroad: Abroad | None = None
    """What is expected of models, by their plain names, on prompts of kinds not seen."""
    own: Own | None = None
    """What `turnout train universal` learned of the user's outcomes."""
    _mixes: ByCandidates[_Mix] = field(default_factory=ByCandidates, repr=False)

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate has a place, be it the prior."""
        self._mix(candidates)

    @property
    def usual_factors(self) -> Floats:
        """(K,) mean of the remembered prompts; a vector times these is the model's ability."""
        return np.asarray(self.known.factors.mean(axis=0), dtype=np.float32)

    def find(self, candidate: Candidate) -> str | None:
        """The key of a candidate in the space; None where it is not known."""
        return next((key for key in self._keys(candidate) if key in self.space.names), None)

    def _keys(self, candidate: Candidate) -> list[str]:
        """Keys that a candidate may have, most exact first; those of an arm say its effort."""
        found = []
        for name in (candidate.known_as, candidate.name, candidate.model):
            if not name:
                continue
            model, said = split_arm(name)
            effort = candidate.effort or said or candidate.arm_effort
            for form in name_forms(model):
                key = self.aliases.get(form, form)
                found.append(key if effort is None else f"{key}@{effort}")
        return found

    def _expected(self, candidate: Candidate, usual: float) -> Arm:
        """Of a candidate that the space does not know: other arms of it, its price, or the mean."""
        for key in self._keys(candidate):
            arm = arm_prior(self.space, key)
            if arm is not None:
                return arm
        mean, spread = self.space.prior_mean_, self.space.prior_spread
        if self.price_prior is not None and candidate.price is not None:
            priced = self.price_prior.vector(
                candidate.price, mean, self.space.prior_cov_, self.usual_factors
            )
            if priced is not None:
                wide = np.sqrt(np.diag(priced[1])).astype(np.float32)
                return Arm(mean=priced[0], spread=wide, tokens=usual, basis="prior: from its price")
        told = "prior: the mean of all known models"
        return Arm(mean=mean, spread=spread, tokens=usual, basis=told)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) expected quality, its spread, and expected output tokens."""
        mix = self._mix(candidates)
        raw = RawRows.of(self.text.inputs.encoder, texts(queries), mend=self.text.inputs.mend)
        rows = self.text.inputs.of_raw(raw)
        shares = self.text.factors.vote(rows)
        factors = self.text.factors.of_rows(rows, shares)
        quality = np.asarray(sigmoid(factors @ mix.vectors.T), dtype=np.float32)
        if self.abroad is not None:
            quality = self.abroad.averaged(quality, rows, shares, mix.abroad)
        mine = [j for j, column in enumerate(mix.own) if column is not None]
        if self.own is not None and mine:
            columns = np.asarray([mix.own[j] for j in mine], dtype=np.intp)
            quality[:, mine] = self.own.quality(raw, quality[:, mine], columns)
        deviation = np.sqrt((factors**2) @ mix.variance.T)
        length = self.text.factors.log_tokens(rows)[:, None] + mix.tokens
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=quality,
            output_tokens=output_tokens(length),
            pair=self.pair,
            basis=mix.basis,
            spread=(quality * (1.0 - quality) * deviation).astype(np.float32),
        )

    def reference(self, candidates: Sequence[Candidate]) -> Reference:
        """Predictions out of fold on remembered prompts, beside scores.

        Where at least 100 prompts have a score of every candidate, only those. Else all prompts,
        and a score that is missing is the predicted one: models of different sources were seldom
        run on the same prompts, so that operating points among them rest on predictions. A model
        at the prior, or added since the fit, is predicted from its vector.

        Where all candidates were among the outcomes that the user fitted, the user's prompts.
        """
        mix = self._mix(candidates)
        columns = [column for column in mix.own if column is not None]
        if self.own is not None and len(columns) == len(candidates):
            return self.own.reference(columns)
        return self.known.reference(mix.index, mix.vectors, mix.tokens)

    def with_space(self, space: ModelSpace) -> Self:
        """The same router over another space of the same factors: models added or refitted.

        The first models must be those of the space that was fitted, in their order, for what is
        remembered of them to hold; of a model that was moved or added nothing is remembered.
        """
        order = {name: i for i, name in enumerate(self.space.names)}
        found = [order.get(name) for name in space.names]
        unmoved = [
            i
            if i is not None and np.array_equal(self.space.vectors_[i], space.vectors_[j])
            else None
            for j, i in enumerate(found)
        ]
        moved = [name for name, i in zip(space.names, unmoved, strict=True) if i is None]
        return replace(
            self,
            space=space,
            known=self.known.of_columns(unmoved),
            abroad=None if self.abroad is None else self.abroad.without(moved),
            _mixes=ByCandidates(),
        )

    def _mix(self, candidates: Sequence[Candidate]) -> _Mix:
        return self._mixes.of(candidates, self._look_up)

    def _look_up(self, candidates: Sequence[Candidate]) -> _Mix:
        space = self.space
        keys = [self.find(c) for c in candidates]
        index = tuple(None if k is None else space.names.index(k) for k in keys)
        usual = float(np.nanmedian(space.tokens_)) if np.isfinite(space.tokens_).any() else np.nan
        arms = [
            self._expected(c, usual)
            if i is None
            else Arm(
                mean=space.vectors_[i],
                spread=space.spread_[i],
                tokens=float(space.tokens_[i]),
                basis=space.basis[i],
            )
            for i, c in zip(index, candidates, strict=True)
        ]
        return _Mix(
            index=index,
            vectors=np.stack([arm.mean for arm in arms]),
            variance=np.stack([arm.spread for arm in arms]) ** 2,
            tokens=np.asarray([arm.tokens for arm in arms], dtype=np.float32),
            basis=tuple(arm.basis for arm in arms),
            abroad=np.zeros(0, np.float32) if self.abroad is None else self.abroad.abilities(keys),
            own=(None,) * len(keys) if self.own is None else self.own.columns(keys),
        )

    @classmethod
    def from_artifact(cls, opened: OpenedArtifact) -> Self:
        """The router that an artifact describes.

        Raises:
            ArtifactError: it states no encoder, or arrays do not fit its models.
        """
        manifest, arrays = opened.manifest, opened.arrays
        if opened.encoder is None:
            raise ArtifactError(f"{opened.where} states no encoder; train it again")
        models = manifest["models"]
        space = ModelSpace.from_arrays(models["names"], models["basis"], part(arrays, "space/"))
        known = Remembered.from_arrays(part(arrays, "reference/"))
        own, abroad = manifest.get("own"), manifest.get("abroad")
        prior = manifest.get("price_prior")
        if known.score.shape[1] != len(space.names):
            raise ArtifactError(f"{opened.where}: its reference is of other models; train it again")
        return cls(
            name=manifest["router"],
            fingerprint=opened.fingerprint,
            text=TextFactors(
                inputs=Inputs.from_arrays(opened.encoder, part(arrays, "inputs/"), mend=False),
                factors=Factors.from_arrays(part(arrays, "factors/")),
            ),
            space=space,
            aliases=dict(models["aliases"]),
            pair=PairRule(**manifest["pair"]),
            known=known,
            price_prior=None if prior is None else PricePrior.from_dict(prior),
            abroad=None
            if abroad is None
            else Abroad.from_arrays(abroad["names"], part(arrays, "abroad/")),
            own=None
            if own is None
            else Own.from_arrays(own["keys"], opened.encoder, part(arrays, "own/")),
        )
