"""Fit the `universal` artifact: factors of texts, vectors of models, a reference out of fold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pretrained.difficulty import spherical_clusters
from pretrained.heads import prototypes
from pretrained.lowrank import fit_low_rank
from pretrained.names import aliases
from pretrained.outcomes import Cells, capped
from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.data.groups import group_folds
from turnout.encoders.lexical import fit_lexical
from turnout.encoders.opening import open_encoder
from turnout.pricing import list_price
from turnout.routers.arrays import logit, sigmoid, unit
from turnout.routers.columns import normalise
from turnout.routers.factors import Factors, soft_shares
from turnout.routers.inputs import Inputs, RawRows, fit_inputs
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.priors import LEAST_PRICED, PricePrior
from turnout.routers.space import ModelSpace, fit_vector
from turnout.routers.universal import Remembered
from turnout.training.card import render_card
from turnout.types import Floats, estimate_tokens

WORDS = 40
"""Dimensions of the lexical vector: 256 would make it 17 MB."""
PROTOTYPES = 512
SHARPNESS = 20.0
VOTE = 2.0
"""Weight of the prototypes' shares beside the rows."""
FOLDS = 5
REFERENCE_OF_UNIT = 40
LEAST_OUTCOMES = 25
SURE_OUTCOMES = 100
"""Entries of at least so many outcomes make the prior."""
LENGTH_PENALTY = 30.0
TYPOS = 0.03
POLITE = (
    "Please ",
    "Hi! I have a question. ",
    "Could you please answer this for me? ",
    "Hello, I would be grateful for your help with this:\n",
    "Thanks in advance! ",
    "Hey there, quick one for you: ",
    "I hope you are well. Kindly consider the following task.\n\n",
)
"""Openings that say nothing of the task."""
_ARM = re.compile(r"^(o\d(?:-mini|-preview)?|grok-3-mini)-(low|medium|high)$")
"""Not any name: mistral-medium is a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Outcomes by key: a model over all sets, and what parts of it its sets ran.

    `model@set` where several sets ran it; `spelling@set` where one set ran it in several
    ways.
    """

    names: tuple[str, ...]
    basis: tuple[str, ...]
    entries: tuple[NDArray[np.intp], ...]
    """Of each key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What fits share: the inputs, which look at texts alone."""

    inputs: Inputs
    rows: Floats
    """(n, d)"""
    altered: tuple[Floats, ...]
    """(n, d) each, of the same prompts written otherwise."""


def keyed(cells: Cells, sound: NDArray[np.bool_]) -> Keyed:
    """The keys of the space. Entries that are off their model's line count for their own arm."""
    count = np.bincount(cells.by[cells.train[cells.at]], minlength=len(cells.entry_name))
    found: dict[str, tuple[str, NDArray[np.intp]]] = {}

    def add(key: str, where: str, entries: NDArray[np.intp]) -> None:
        if count[entries].sum() >= LEAST_OUTCOMES:
            found.setdefault(key, (f"measured outcomes of {where}", entries))

    names = np.unique(cells.entry_name).tolist()
    for name in names:
        mine = np.flatnonzero(cells.entry_name == name)
        good = mine[sound[mine]] if sound[mine].any() else mine
        add(key_of(name), key_of(name), good)
    for name in names:  # after all names, which stand before a spelling of one
        mine = np.flatnonzero(cells.entry_name == name)
        for place in np.unique(cells.entry_set[mine]).tolist() if len(mine) > 1 else ():
            part = mine[cells.entry_set[mine] == place]
            add(normalise(f"{name}@{place}"), f"{normalise(name)} in {place}", part)
            for own in part if len(part) > 1 else ():  # ways to call it: with tools, by prompt
                spelled = normalise(f"{cells.entry_model[own]}@{place}")
                add(spelled, spelled, np.asarray([own]))
    return Keyed(
        names=tuple(found),
        basis=tuple(b for b, _ in found.values()),
        entries=tuple(e for _, e in found.values()),
    )


def key_of(name: str) -> str:
    """The key of a model; a name that ends in a reasoning effort is an arm: `o1-high` → `o1@high`."""
    return _ARM.sub(r"\1@\2", normalise(name))


def fit_rows(raw: RawRows, use: NDArray[np.bool_], *, alter: bool = True) -> Rows:
    """Inputs with a small lexical vector, fitted on some prompts and applied to all.

    Args:
        raw: n prompts.
        use: (n,) those to fit on.
        alter: also make the rows of altered texts, which takes most of the time.
    """
    part = raw.take(use)
    words, vectors = fit_lexical(part.texts, dimension=WORDS, seed=0)
    # Scales as `fit_inputs` makes them, with the lexical block standing beside the encoder's.
    plain, _ = fit_inputs(part, lexical=False)
    d, centre = raw.vectors.shape[1], vectors.mean(axis=0)
    spread = np.sqrt(max(float(vectors.var(axis=0).sum()), 1e-9))
    scale = np.full(vectors.shape[1], 1.0 / spread, dtype=np.float32)
    inputs = replace(
        plain,
        lexical=words,
        shift=np.concatenate([plain.shift[:d], centre, plain.shift[d:]]).astype(np.float32),
        scale=np.concatenate([plain.scale[:d], scale, plain.scale[d:]]).astype(np.float32),
    )
    rows = inputs.transform([raw.vectors, words.encode(raw.texts), raw.features])
    return Rows(
        inputs=inputs,
        rows=rows,
        altered=tuple(
            inputs.rows([change(t) for t in raw.texts]) for change in (ALTERED if alter else ())
        ),
    )


def polite(text: str) -> str:
    """The text after a polite opening, the same one for the same text."""
    return POLITE[crc32(text.encode("utf-8", "surrogatepass")) % len(POLITE)] + text


def misspelt(text: str) -> str:
    """The text with about 3 in a hundred letters exchanged with the next or left out."""
    rng = Random(crc32(text.encode("utf-8", "surrogatepass")))
    out = list(text)
    for i in range(len(out) - 1):
        if rng.random() < TYPOS and out[i].isalpha() and out[i + 1].isalpha():
            swap = rng.random() < 0.5
            out[i], out[i + 1] = (out[i + 1], out[i]) if swap else ("", out[i + 1])
    return "".join(out)


ALTERED = (polite, misspelt)


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


def entry_scores(cells: Cells, values: NDArray[np.floating] | None = None) -> Floats:
    """(n, e) mean of a value by prompt and entry, NaN where there is none."""
    values = cells.score if values is None else values
    size = cells.n * len(cells.entry_set)
    use = np.isfinite(values)
    flat = cells.at[use] * len(cells.entry_set) + cells.by[use]
    count, total = np.bincount(flat, minlength=size), np.bincount(flat, values[use], size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.reshape(cells.n, -1).astype(np.float32)


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
    for name, basis, entries in zip(keys.names, keys.basis, keys.entries, strict=True):
        vector, spread = _vector(factors, score, use, entries, mean, cov)
        seen = float(np.isfinite(score[use][:, entries]).sum())
        space = space.with_model(name, vector, spread, seen=seen, basis=basis)
    return space


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


def key_scores(score: Floats, keys: Keyed) -> Floats:
    """(n, M) mean score of each key's entries, NaN where none ran."""
    made = np.full((len(score), len(keys.names)), np.nan, dtype=np.float32)
    for j, entries in enumerate(keys.entries):
        part = score[:, entries]
        seen = np.isfinite(part)
        count = seen.sum(axis=1)
        total = np.where(seen, part, 0.0).sum(axis=1)
        made[:, j] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return made


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
    raw = RawRows.of(open_encoder(), cells.prompts)
    keys, score = keyed(cells, sound), entry_scores(cells)
    made = fit_rows(raw, cells.train)
    factors = _stored(fit_factors(made.rows, score, cells.train, altered=made.altered))
    space = fit_space(factors.of_rows(made.rows), score, cells.train, keys)
    length, tokens = fit_lengths(
        made.rows, entry_scores(cells, cells.output_tokens), cells.train, keys
    )
    factors, space = replace(factors, length_=length), replace(space, tokens_=tokens)
    known, predicted, by_key = out_of_fold(cells, made, score, keys, factors)
    wide = [j for j, name in enumerate(keys.names) if "@" not in name]
    pair = fit_pair_rule(predicted[:, wide], by_key[:, wide])
    manifest = _manifest(cells, raw, keys, pair, facts, _measured(predicted, by_key))
    manifest["price_prior"] = price_prior(space, known.factors)
    arrays = {
        **{f"inputs/{k}": a for k, a in made.inputs.arrays().items()},
        **{f"factors/{k}": a for k, a in factors.arrays().items()},
        **{f"space/{k}": a for k, a in space.arrays().items()},
        **{f"reference/{k}": a for k, a in known.arrays().items()},
    }
    shown = {**manifest, "columns": {"names": [f"{len(keys.names)} models and arms"]}}
    write_artifact(folder, manifest, arrays, render_card(shown, more=facts["card"]))
    return sum(file.stat().st_size for file in folder.iterdir())


def out_of_fold(
    cells: Cells, made: Rows, score: Floats, keys: Keyed, final: Factors
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
        predicted[fold == f] = sigmoid(inside[held] @ space.vectors_.T)
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
