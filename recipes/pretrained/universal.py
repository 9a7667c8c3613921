"""Fit the `universal` artifact: factors of texts, vectors of models, a reference out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pretrained.abroad import abroad, fit_densities, fit_head, fit_kinds, fit_linked, numbers
from pretrained.difficulty import spherical_clusters
from pretrained.heads import prototypes
from pretrained.keyed import Keyed, entry_scores, key_of, key_scores, keyed
from pretrained.lowrank import fit_low_rank
from pretrained.names import aliases
from pretrained.outcomes import Cells, capped
from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.data.groups import group_folds
from turnout.encoders.opening import open_encoder
from turnout.pricing import list_price
from turnout.routers.abroad import Abroad
from turnout.routers.arrays import logit, sigmoid, unit
from turnout.routers.columns import normalise
from turnout.routers.factors import Factors, soft_shares
from turnout.routers.inputs import Inputs, RawRows, fit_inputs
from turnout.routers.kinds import Kinds
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.priors import LEAST_PRICED, PricePrior
from turnout.routers.remembered import Remembered
from turnout.routers.space import ModelSpace, fit_vector
from turnout.training.card import render_card
from turnout.types import Floats, PairRule, estimate_tokens, split_arm

WORDS = 40
"""Dimensions of the lexical vector: 256 would make it 17 MB."""
PROTOTYPES = 512
SHARPNESS = 20.0
VOTE = 2.0
"""Weight of the prototypes' shares beside the rows."""
FOLDS = 5
REFERENCE_OF_UNIT = 40
SURE_OUTCOMES = 100
"""Entries of at least so many outcomes make the prior."""
ARM_ABILITY, ARM_REST = 1.0, 0.002
"""Variances of what an arm of a model adds to its vector: to the ability, and to each other factor."""
STRONG_SHARE = 0.7
"""Of the strong model's quality in the order of a pair, chosen with sources left out: by the whole gain
the order peaks where quality is middling, and on an unseen source its level is not known."""
LENGTH_PENALTY = 30.0
TYPOS = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What fits share: the inputs, which look at texts alone."""

    inputs: Inputs
    rows: Floats
    """(n, d)"""
    altered: tuple[Floats, ...]
    """(n, d) each, of the same prompts written otherwise."""


def fit_rows(raw: RawRows, use: NDArray[np.bool_], *, alter: bool = True) -> Rows:
    """Inputs with a small lexical vector, fitted on some prompts and applied to all.

    Args:
        raw: n prompts.
        use: (n,) those to fit on.
        alter: also make the rows of altered texts, which takes most of the time.
    """
    inputs, _ = fit_inputs(raw.take(use), lexical=WORDS)
    return Rows(
        inputs=inputs,
        rows=inputs.of_raw(raw),
        altered=(inputs.rows([misspelt(t) for t in raw.texts]),) if alter else (),
    )


def misspelt(text: str) -> str:
    """The text with about 3 in a hundred letters exchanged with the next or left out."""
    rng = Random(crc32(text.encode("utf-8", "surrogatepass")))
    out = list(text)
    for i in range(len(out) - 1):
        if rng.random() < TYPOS and out[i].isalpha() and out[i + 1].isalpha():
            swap = rng.random() < 0.5
            out[i], out[i + 1] = (out[i + 1], out[i]) if swap else ("", out[i + 1])
    return "".join(out)


def fit_factors(
    rows: Floats,
    score: Floats,
    use: NDArray[np.bool_],
    *,
    altered: Sequence[Floats] = (),
    seed: int = 0,
) -> Factors:
    """The map from rows to factors, from the prompts in use.

    Args:
        rows: (n, d)
        score: (n, e) by entry, NaN where missing.
        use: (n,)
        altered: (n, d) rows of the same prompts written otherwise, so that the map does not turn
            on a polite prefix or a typo.
        seed: of the fit.
    """
    at = np.flatnonzero(use)
    mine = unit(rows[at])
    _, label = spherical_clusters(mine, min(PROTOTYPES, len(at) // 6), seed=0, rounds=10)
    nothing = np.zeros((len(at), 1))
    centres = np.asarray(prototypes(mine, label, nothing)[0], dtype=np.float16).astype(np.float32)
    copies = [
        np.concatenate([r, VOTE * soft_shares(r, centres, SHARPNESS)], axis=1)
        for r in (rows, *altered)
    ]
    found = fit_low_rank(copies, score, at, seed=seed)
    d = rows.shape[1]
    return Factors(
        project_=found.map[:d],
        shift_=found.shift,
        centres_=centres,
        votes_=VOTE * found.map[d:],
        sharpness_=np.asarray(SHARPNESS, dtype=np.float32),
        length_=np.zeros(d + 1, dtype=np.float32),
    )


def fit_space(factors: Floats, score: Floats, use: NDArray[np.bool_], keys: Keyed) -> ModelSpace:
    """Vectors of all keys by Bayesian logistic regression; the prior is that of sure entries.

    Empirical Bayes in two passes: a wide prior first, then the mean and covariance of the vectors
    that it gives to entries of many outcomes.
    """
    k = factors.shape[1]
    mean = np.zeros(k)
    mean[0] = float(logit(np.asarray([np.nanmean(score[use])]))[0])
    cov = np.eye(k)
    sizes = np.isfinite(score[use]).sum(axis=0)
    sure = [e for e in range(score.shape[1]) if sizes[e] >= min(SURE_OUTCOMES, sizes.max())]
    for _ in range(2):
        found = [_vector(factors, score, use, np.asarray([e]), mean, cov) for e in sure]
        vectors = np.stack([m for m, _ in found]).astype(np.float64)
        mean = vectors.mean(axis=0)
        off = vectors - mean
        inner = np.mean([c for _, c in found], axis=0)
        cov = (off.T @ off) / max(len(off) - 1, 1) + 0.5 * inner + 1e-3 * np.eye(k)
    space = ModelSpace(
        names=(),
        basis=(),
        vectors_=np.zeros((0, k), np.float32),
        spread_=np.zeros((0, k), np.float32),
        prior_mean_=mean.astype(np.float32),
        prior_cov_=cov.astype(np.float32),
        tokens_=np.zeros(0, np.float32),
        seen_=np.zeros(0, np.float32),
    )
    shared = _shared(factors, score, use, keys, mean, cov)
    for name, basis, entries in zip(keys.names, keys.basis, keys.entries, strict=True):
        if name in shared:
            vector, spread = _arm(factors, score, use, entries, *shared[name])
        else:
            vector, spread = _vector(factors, score, use, entries, mean, cov)
        seen = float(np.isfinite(score[use][:, entries]).sum())
        space = space.with_model(name, vector, spread, seen=seen, basis=basis)
    return space


def _shared(
    factors: Floats,
    score: Floats,
    use: NDArray[np.bool_],
    keys: Keyed,
    mean: NDArray[np.float64],
    cov: NDArray[np.float64],
) -> dict[str, tuple[Floats, Floats]]:
    """What the arms of one model have in common, by the key of each arm: mean and covariance.

    Arms are run on few prompts, often of one set. Vectors of their own agree there and part
    elsewhere, where nothing was seen: the lower effort came out above the higher one.
    """
    arms: dict[str, list[int]] = {}
    for j, name in enumerate(keys.names):
        model, effort = split_arm(name)
        if effort is not None:
            arms.setdefault(model, []).append(j)
    found = {}
    for mine in arms.values():
        if len(mine) > 1:
            entries = np.concatenate([keys.entries[j] for j in mine])
            common = _vector(factors, score, use, entries, mean, cov)
            found |= {keys.names[j]: common for j in mine}
    return found


def _arm(
    factors: Floats,
    score: Floats,
    use: NDArray[np.bool_],
    entries: NDArray[np.intp],
    common: Floats,
    cov: Floats,
) -> tuple[Floats, Floats]:
    """An arm about what its model's arms share: another ability, and hardly more."""
    i, j = np.nonzero(np.isfinite(score[:, entries]) & use[:, None])
    apart = np.full(len(common), ARM_REST)
    apart[0] = ARM_ABILITY
    step, left = fit_vector(
        factors[i],
        score[i, entries[j]],
        np.zeros(len(common)),
        np.diag(apart),
        factors[i] @ common,
    )
    return common + step, cov + left


def _vector(
    factors: Floats,
    score: Floats,
    use: NDArray[np.bool_],
    entries: NDArray[np.intp],
    mean: NDArray[np.float64],
    cov: NDArray[np.float64],
) -> tuple[Floats, Floats]:
    i, j = np.nonzero(np.isfinite(score[:, entries]) & use[:, None])
    return fit_vector(factors[i], score[i, entries[j]], mean, cov)


def fit_lengths(
    rows: Floats, tokens: Floats, use: NDArray[np.bool_], keys: Keyed
) -> tuple[Floats, Floats]:
    """(d + 1,) ridge weights of log output tokens less each key's mean, and (M,) offsets."""
    log = np.log(np.maximum(key_scores(tokens, keys), 1.0))
    log[~use] = np.nan
    seen = np.isfinite(log)
    offset = np.where(seen, log, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    rest = np.where(seen, log - offset, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    some = seen.any(axis=1)
    weights = np.zeros(rows.shape[1] + 1, dtype=np.float32)
    if some.any():
        x = rows[some].astype(np.float64)
        gram = x.T @ x + LENGTH_PENALTY * np.eye(x.shape[1])
        weights[:-1] = np.linalg.solve(gram, x.T @ rest[some])
    return weights, np.where(seen.any(axis=0), offset, np.nan).astype(np.float32)


def build(cells: Cells, sound: NDArray[np.bool_], facts: dict[str, Any], folder: Path) -> int:
    """Fit on the train part and write the artifact; returns its size in bytes."""
    raw = RawRows.of(open_encoder(), cells.prompts, mend=False)
    keys, score = keyed(cells, sound), entry_scores(cells)
    made = fit_rows(raw, cells.train)
    factors = _stored(fit_factors(made.rows, score, cells.train, altered=made.altered))
    space = fit_space(factors.of_rows(made.rows), score, cells.train, keys)
    away = fit_abroad(cells, sound, made, factors, cells.train, keys)
    length, tokens = fit_lengths(
        made.rows, entry_scores(cells, cells.output_tokens), cells.train, keys
    )
    factors, space = replace(factors, length_=length), replace(space, tokens_=tokens)
    known, predicted, by_key = out_of_fold(cells, made, score, keys, factors, away, sound)
    pair = pair_rule(known, keys.names)
    manifest = _manifest(cells, raw, keys, pair, facts, _measured(predicted, by_key))
    manifest["price_prior"] = price_prior(space, known.factors)
    manifest["abroad"] = {"names": list(away.names)}
    arrays = {
        **{f"inputs/{k}": a for k, a in made.inputs.arrays().items()},
        **{f"factors/{k}": a for k, a in factors.arrays().items()},
        **{f"space/{k}": a for k, a in space.arrays().items()},
        **{f"reference/{k}": a for k, a in known.arrays().items()},
        **{f"abroad/{k}": a for k, a in away.arrays().items()},
    }
    shown = {**manifest, "columns": {"names": [f"{len(keys.names)} models and arms"]}}
    write_artifact(folder, manifest, arrays, render_card(shown, more=facts["card"]))
    return sum(file.stat().st_size for file in folder.iterdir())


def fit_abroad(
    cells: Cells,
    sound: NDArray[np.bool_],
    made: Rows,
    factors: Factors,
    use: NDArray[np.bool_],
    keys: Keyed,
    kinds: Kinds | None = None,
) -> Abroad:
    """What plain names are expected to do on prompts of kinds not seen, from the prompts in use.

    Without `kinds`, what is near is learned too.
    """
    scale = fit_linked(cells, use, sound)
    shares = factors.vote(made.rows)
    head = fit_head(numbers(made.rows, shares), scale, cells.outcome_set)
    if kinds is None:
        _, groups = np.unique(cells.group, return_inverse=True)
        held = group_folds(groups.astype(np.intp), FOLDS, seed=0) == 0
        kinds = fit_kinds(made.rows, cells.outcome_set, use, held)
    plain = {key_of(name): name for name in np.unique(cells.entry_name).tolist()}
    known = {key: plain[key] for key in keys.names if key in plain and "@" not in key}
    return abroad(head, kinds, scale, known)


def out_of_fold(
    cells: Cells,
    made: Rows,
    score: Floats,
    keys: Keyed,
    final: Factors,
    away: Abroad,
    sound: NDArray[np.bool_],
) -> tuple[Remembered, Floats, Floats]:
    """The reference, and (t, M) predictions and scores of all train prompts, whole groups held out.

    A remembered prompt's factors are the final map's, for models that are added later; what is
    known of the fitted models are predictions by folds that had not seen its group.
    """
    at = np.flatnonzero(cells.train)
    _, groups = np.unique(cells.group[at], return_inverse=True)
    fold = group_folds(groups.astype(np.intp), FOLDS, seed=0)
    predicted = np.zeros((len(at), len(keys.names)), dtype=np.float32)
    for f in range(FOLDS):
        use = np.zeros(cells.n, dtype=np.bool_)
        use[at[fold != f]] = True
        part = fit_factors(made.rows, score, use, altered=made.altered)
        inside = part.of_rows(made.rows)
        space = fit_space(inside, score, use, keys)
        held = at[fold == f]
        kinds = replace(
            fit_densities(made.rows, cells.outcome_set, use, away.kinds.project_),
            knots_=away.kinds.knots_,
            near_=away.kinds.near_,
        )
        apart = fit_abroad(cells, sound, made, part, use, keys, kinds)
        rows = made.rows[held]
        quality = np.asarray(sigmoid(inside[held] @ space.vectors_.T), dtype=np.float32)
        ability = apart.abilities(keys.names)
        predicted[fold == f] = apart.averaged(quality, rows, part.vote(rows), ability)
    by_key = key_scores(score, keys)[at]
    kept = capped(cells.unit[at], np.ones(len(at), dtype=np.bool_), REFERENCE_OF_UNIT, seed=0)
    rows = made.rows[at[kept]]
    known = Remembered(
        factors=final.of_rows(rows),
        predicted=predicted[kept],
        score=by_key[kept],
        input_tokens=np.asarray(
            [estimate_tokens(cells.prompts[i]) for i in at[kept]], dtype=np.float32
        ),
        log_tokens=final.log_tokens(rows),
    )
    return known, predicted, by_key


def pair_rule(known: Remembered, names: Sequence[str]) -> PairRule:
    """Of what the artifact remembers, as it comes back from there; arms and parts are left out."""
    stored = Remembered.from_arrays(known.arrays())
    wide = [j for j, name in enumerate(names) if "@" not in name]
    return fit_pair_rule(stored.predicted[:, wide], stored.score[:, wide], strong=STRONG_SHARE)


def price_prior(space: ModelSpace, factors: Floats) -> dict[str, float] | None:
    """The line from list prices to abilities, over models of the space that have a list price."""
    priced = [(i, list_price(name)) for i, name in enumerate(space.names) if "@" not in name]
    known = [(i, price) for i, price in priced if price is not None]
    if len(known) < LEAST_PRICED:
        return None
    at = [i for i, _ in known]
    ability = space.vectors_[at] @ factors.mean(axis=0)
    return PricePrior.fit([price for _, price in known], ability).to_dict()


def _stored(factors: Factors) -> Factors:
    """As they come back from the artifact, so that vectors are fitted on what is served."""
    return Factors.from_arrays(factors.arrays())


def _measured(predicted: Floats, score: Floats) -> dict[str, Any]:
    seen = np.isfinite(score)
    means = np.where(seen, score, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    error = float(((predicted - score)[seen] ** 2).mean())
    constant = float(((means - score)[seen] ** 2).mean())
    return {
        "brier_out_of_fold": round(error, 4),
        "brier_of_means": round(constant, 4),
        "brier_skill": round(1.0 - error / constant, 4),
    }


def _manifest(
    cells: Cells, raw: RawRows, keys: Keyed, pair: Any, facts: dict[str, Any], measured: Any
) -> dict[str, Any]:
    known = set(keys.names)
    plain = {name: key_of(name) for name in np.unique(cells.entry_name).tolist()}
    other = {
        alias: key
        for name, key in sorted(plain.items())
        if key in known
        for alias in (*aliases(name), normalise(name))
        if alias not in known
    }
    return {
        "router": "universal",
        "turnout": __version__,
        "encoder": {
            "name": raw.encoder.name,
            "fingerprint": raw.encoder.fingerprint,
            "dimension": raw.encoder.dimension,
        },
        "models": {"names": list(keys.names), "basis": list(keys.basis), "aliases": other},
        "pair": asdict(pair),
        "data": facts["data"],
        "measured": measured,
        "recipe": {"command": facts["command"], "seed": 0, "folds": FOLDS},
        "notes": facts["notes"],
    }
