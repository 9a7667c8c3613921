"""Take a model into the vector space: choose prompts to label, fit its vector, write the artifact.

Nothing is trained again: the factors of queries stay what they are, and the new model is one more
vector, so that an artifact with it serves as the one that it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.artifacts.folder import CARD, read_artifact, read_file, write_artifact
from turnout.artifacts.opening import open_router, shipped
from turnout.calibration.anchors import balanced_anchors, d_optimal
from turnout.calibration.items import Estimate, Items
from turnout.data.table import OutcomeTable
from turnout.errors import ArtifactError, DataError, InputError
from turnout.routers.columns import normalise
from turnout.routers.priors import Arm, PricePrior, arm_prior
from turnout.routers.space import ModelSpace, fit_vector
from turnout.routers.universal import Universal
from turnout.types import Floats, Price, split_arm

ROUTER = "universal"
LEAST_LABELS = 10
ADVISED_LABELS = 50
LEAST_OTHERS = 4
"""Fewer other models tell too little of each prompt to fit it."""
_CHANGED = ("space/", "reference/", "abroad/")
_Z90 = 1.645


@dataclass(frozen=True, kw_only=True)
class Base:
    """An artifact of the space, opened to add to."""

    folder: Path
    manifest: Mapping[str, Any]
    router: Universal
    price_prior: PricePrior | None


def open_base(folder: Path | None = None) -> Base:
    """Open an artifact of the router `universal`; default: the one that ships.

    Raises:
        UnknownNameError, ArtifactError: as `open_router` says.
    """
    at = shipped(ROUTER) if folder is None else folder
    router = open_router(ROUTER, artifact=at)
    manifest, _, _ = read_artifact(at)
    if not isinstance(router, Universal):
        raise ArtifactError(f"artifact {at}: it holds no vector space of models")
    stated = manifest.get("price_prior")
    return Base(
        folder=at,
        manifest=manifest,
        router=router,
        price_prior=None if stated is None else PricePrior.from_dict(stated),
    )


def choose_by_outcomes(table: OutcomeTable, count: int, seed: int = 0) -> NDArray[np.intp]:
    """Rows of the prompts to label, by what other models scored on them.

    Raises:
        DataError: fewer than four models, or than `count` prompts.
    """
    score = table.score.astype(np.float64)
    if score.shape[1] < LEAST_OTHERS:
        remedy = f"give outcomes of {LEAST_OTHERS} models or more, or prompts alone"
        raise DataError("models", list(table.models), remedy)
    _check_count(count, len(score))
    rng = np.random.default_rng(seed)
    return np.sort(balanced_anchors(np.nanmean(score, axis=1), Items.fit(score), count, rng))


def choose_by_text(texts: list[str], base: Base, count: int) -> NDArray[np.intp]:
    """Rows of the prompts to label, by their factors alone: D-optimal under the space's prior.

    Raises:
        DataError: fewer than `count` prompts.
    """
    _check_count(count, len(texts))
    space = base.router.space
    return np.sort(d_optimal(base.router.text(texts), space.prior_cov_, count))


def estimate_accuracy(name: str, labelled: OutcomeTable, others: OutcomeTable | None) -> Estimate:
    """The model's accuracy on all prompts of `others`, or on the labelled ones alone without it.

    Raises:
        DataError: too few of the labelled prompts stand in `others`, or it has too few models.
    """
    score = labelled.score[:, 0].astype(np.float64)
    if others is None:
        mean = float(score.mean())
        half = _Z90 * float(np.sqrt((score.var() + 1.0 / len(score) ** 2) / len(score)))
        return Estimate(
            accuracy=mean,
            low=max(mean - half, 0.0),
            high=min(mean + half, 1.0),
            labelled=len(score),
        )
    columns = [j for j, model in enumerate(others.models) if model != name]
    if len(columns) < LEAST_OTHERS:
        raise DataError("models", list(others.models), f"give {LEAST_OTHERS} other models or more")
    known = others.score[:, columns].astype(np.float64)
    rows = np.flatnonzero(np.isfinite(known).any(axis=1))
    place = {others.prompts[i]: at for at, i in enumerate(rows)}
    held = [(place[p], s) for p, s in zip(labelled.prompts, score, strict=True) if p in place]
    if len(held) < LEAST_LABELS:
        remedy = (
            f"at least {LEAST_LABELS} labelled prompts must stand in the outcomes, word by word"
        )
        raise DataError("prompts", f"{len(held)} in common", remedy)
    anchors = np.array([at for at, _ in held], dtype=np.intp)
    return Items.fit(known[rows]).estimate(anchors, np.array([s for _, s in held]))


def key_of(name: str, effort: str | None = None) -> str:
    """A model's key in the space; with an effort it is an arm."""
    model, named = split_arm(name)
    said = effort or named
    return normalise(model) if said is None else f"{normalise(model)}@{said}"


def fit_model(
    base: Base, key: str, labelled: OutcomeTable | None, price: Price | None
) -> ModelSpace:
    """The space with the model: from labels over what its price or its other arms say, or by those.

    Raises:
        DataError: fewer than `LEAST_LABELS` labels.
        InputError: neither labels nor anything to expect it from; or a model of the outcomes that
            the artifact was trained on.
    """
    space = base.router.space
    if base.router.own is not None and key in base.router.own.keys:
        remedy = "the artifact was trained on its outcomes: add these, `turnout train universal`"
        raise InputError("model", key, remedy)
    start = _prior(base, key, price)
    if labelled is None:
        if start is None:
            remedy = "give --outcomes with labelled prompts, or --price for a prior"
            raise InputError("model", key, remedy)
        mean, cov, told = start
        return space.with_model(key, mean, cov, seen=0.0, tokens=told.tokens, basis=told.basis)
    count = len(labelled.prompts)
    if count < LEAST_LABELS:
        remedy = f"label {LEAST_LABELS} prompts or more; {ADVISED_LABELS} to 200 are advised"
        raise DataError("outcomes", f"{count} scores", remedy)
    mean, cov, _ = start or (space.prior_mean_, space.prior_cov_, None)
    factors = base.router.text(list(labelled.prompts))
    fitted, left = fit_vector(factors, labelled.score[:, 0], mean, cov)
    return space.with_model(
        key,
        fitted,
        left,
        seen=float(count),
        tokens=_token_offset(base, labelled),
        basis=f"{count} anchors",
    )


def write_added(base: Base, space: ModelSpace, key: str, out: Path) -> str:
    """Write a copy of the base artifact over another space; returns its fingerprint.

    Raises:
        ArtifactError: `out` exists and is not an artifact, or cannot be written.
    """
    manifest, arrays, fingerprint = read_artifact(base.folder)
    router = base.router.with_space(space)
    away = router.abroad
    models = manifest["models"]
    aliases = {name: to for name, to in models["aliases"].items() if name != key}
    changed = {
        **manifest,
        "models": {
            **models,
            "names": list(space.names),
            "basis": list(space.basis),
            "aliases": aliases,
        },
        "abroad": None if away is None else {"names": list(away.names)},
        "made_of": fingerprint,
        "added": [*(n for n in manifest.get("added", ()) if n != key), key],
    }
    kept = {k: a for k, a in arrays.items() if not k.startswith(_CHANGED)}
    fresh = {
        **kept,
        **{f"space/{k}": a for k, a in space.arrays().items()},
        **{f"reference/{k}": a for k, a in router.known.arrays().items()},
        **({} if away is None else {f"abroad/{k}": a for k, a in away.arrays().items()}),
    }
    files = {n: read_file(base.folder, manifest, n) for n in manifest.get("files_sha256", ())}
    at = space.names.index(key)
    card = (base.folder / CARD).read_text(encoding="utf-8").rstrip()
    note = f"\n\nAdded without training: {key} ({space.basis[at]}).\n"
    return write_artifact(out, changed, fresh, card + note, files=files)


def _prior(base: Base, key: str, price: Price | None) -> tuple[Floats, Floats, Arm] | None:
    """What is expected of a model before its labels: other arms of it, else its price."""
    space = base.router.space
    others = _without(space, key)
    arm = arm_prior(others, key)
    if arm is not None:
        return arm.mean, np.diag(arm.spread**2).astype(np.float32), arm
    if price is None or base.price_prior is None:
        return None
    found = base.price_prior.vector(
        price, space.prior_mean_, space.prior_cov_, base.router.usual_factors
    )
    if found is None:
        return None
    mean, cov = found
    spread = np.sqrt(np.diag(cov)).astype(np.float32)
    tokens = float("nan")
    return mean, cov, Arm(mean=mean, spread=spread, tokens=tokens, basis="prior: from its price")


def _without(space: ModelSpace, key: str) -> ModelSpace:
    """The space without one model: a vector is not its own prior."""
    keep = [i for i, name in enumerate(space.names) if name != key]
    return replace(
        space,
        names=tuple(space.names[i] for i in keep),
        basis=tuple(space.basis[i] for i in keep),
        vectors_=space.vectors_[keep],
        spread_=space.spread_[keep],
        tokens_=space.tokens_[keep],
        seen_=space.seen_[keep],
    )


def _token_offset(base: Base, labelled: OutcomeTable) -> float:
    """Mean log of output tokens less the expected one; NaN without counts."""
    tokens = labelled.output_tokens[:, 0]
    known = np.isfinite(tokens) & (tokens > 0)
    if not known.any():
        return float("nan")
    rows = base.router.text.inputs.rows(list(labelled.prompts))
    return float(np.mean(np.log(tokens[known]) - base.router.text.factors.log_tokens(rows)[known]))


def _check_count(count: int, prompts: int) -> None:
    if count > prompts:
        raise DataError("count", count, f"the data holds {prompts} prompts; ask for fewer")
