"""Train `universal`: the user's outcomes over the shipped space, and a head of their own beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.artifacts.folder import read_artifact
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.errors import DataError, InputError
from turnout.routers.inputs import RawRows
from turnout.routers.own import Own
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.space import ModelSpace
from turnout.training.card import render_card
from turnout.training.fit import (
    FOLDS,
    STEPS,
    Fitted,
    Progress,
    _groups,
    check_table,
    data_facts,
    fit_parts,
    make_reference,
)
from turnout.training.measuring import measure
from turnout.training.onboarding import ROUTER, Base, key_of, open_base
from turnout.training.stacked import Stacked, Vectors, stack
from turnout.types import Floats


def train_universal(
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
    base: str = "",
) -> Fitted:
    """Fit the user's outcomes into a vector space that was fitted before.

    The factors of queries stay. Each model gets a vector for the user's prompts, and a `blend` of
    the user's own is averaged with the space: how much either counts is fitted out of fold (Breiman
    1996, stacked regressions). Models of the space that the outcomes do not name stay in it.

    Args:
        table: prompts by models.
        encoder: must be the space's.
        seed: for folds and heads.
        source: one line for the card.
        progress: told what is being done.
        checkpoint: folder for finished folds of the head.
        base: folder of another artifact of `universal`; default: the one that ships.

    Raises:
        InputError: another encoder than the space's.
        DataError: outcomes that it cannot be fitted on, or two models with one name in the space.
    """
    started = time.perf_counter()
    notes = check_table(table)
    opened = open_base(Path(base) if base else None)
    text = opened.router.text
    if encoder != text.inputs.encoder.name:
        remedy = f"the space was fitted with {text.inputs.encoder.name}: name that one"
        raise InputError("encoder", encoder, remedy)
    keys = _keys(table.models)
    progress(f"encoding {len(table.prompts)} prompts")
    raw = RawRows.of(text.inputs.encoder, table.prompts, mend=text.inputs.mend)
    groups = _groups(table)
    parts = fit_parts(
        "blend", raw, table.score, groups, seed=seed, progress=progress, checkpoint=checkpoint
    )
    rows = text.inputs.of_raw(raw)
    factors = text.factors.of_rows(rows)
    found = stack(parts, factors, table.score, groups, opened.router.space, seed=seed)
    space = _with_models(
        opened.router.space, table, keys, found.vectors, text.factors.log_tokens(rows)
    )
    own = Own(
        keys=keys,
        inputs=parts.inputs,
        head=parts.head,
        share_=np.asarray(found.share, dtype=np.float32),
        platt=found.platt,
        known=make_reference(table, found.predicted, seed),
    )
    manifest = {
        **_manifest(opened, table, found, groups, source, seed),
        "models": _models(opened, space, keys),
        "abroad": _abroad(opened, space),
        "own": {"keys": list(keys), "share": round(found.share, 4)},
        "notes": [*table.notes, *notes, *_notes(found.share)],
    }
    made = Fitted(
        name=ROUTER,
        manifest=manifest,
        arrays=_arrays(opened, space, own),
        card=render_card(manifest),
        predicted=found.predicted,
    )
    progress(f"fitted in {time.perf_counter() - started:.1f} s")
    return made


train_universal.steps = STEPS  # type: ignore[attr-defined]


def _keys(models: Sequence[str]) -> tuple[str, ...]:
    """Keys of the table's models in the space."""
    keys = tuple(key_of(model) for model in models)
    for j, key in enumerate(keys):
        if key in keys[:j]:
            twins = [model for model, k in zip(models, keys, strict=True) if k == key]
            raise DataError("models", twins, "they have one name in the space: rename all but one")
    return keys


def _with_models(
    space: ModelSpace,
    table: OutcomeTable,
    keys: Sequence[str],
    vectors: Vectors,
    log_tokens: Floats,
) -> ModelSpace:
    seen = np.isfinite(table.score).sum(axis=0)
    for j, key in enumerate(keys):
        space = space.with_model(
            key,
            vectors.mean[j],
            vectors.cov[j],
            seen=float(seen[j]),
            tokens=_token_offset(table.output_tokens[:, j], log_tokens),
            basis=f"outcomes of {table.models[j]}",
        )
    return space


def _token_offset(tokens: Floats, log_tokens: Floats) -> float:
    """Mean log of output tokens less the expected one; NaN without counts."""
    known = np.isfinite(tokens) & (tokens > 0)
    if not known.any():
        return float("nan")
    return float(np.mean(np.log(tokens[known]) - log_tokens[known]))


def _manifest(
    base: Base,
    table: OutcomeTable,
    found: Stacked,
    groups: NDArray[np.intp],
    source: str,
    seed: int,
) -> dict[str, Any]:
    _, _, fingerprint = read_artifact(base.folder)
    return {
        "router": ROUTER,
        "turnout": __version__,
        "encoder": base.manifest["encoder"],
        "columns": {"names": list(table.models)},
        "pair": asdict(fit_pair_rule(found.predicted, table.score)),
        "price_prior": base.manifest.get("price_prior"),
        "made_of": fingerprint,
        "data": data_facts(table, groups, source),
        "measured": measure(table, found.predicted, groups, seed=seed),
        "recipe": {"command": f"turnout train {ROUTER}", "seed": seed, "folds": FOLDS},
    }


def _models(base: Base, space: ModelSpace, keys: Sequence[str]) -> dict[str, Any]:
    aliases = {k: to for k, to in base.manifest["models"]["aliases"].items() if k not in keys}
    return {"names": list(space.names), "basis": list(space.basis), "aliases": aliases}


def _abroad(base: Base, space: ModelSpace) -> dict[str, Any] | None:
    away = base.router.with_space(space).abroad
    return None if away is None else {"names": list(away.names)}


def _arrays(base: Base, space: ModelSpace, own: Own) -> dict[str, NDArray[Any]]:
    _, arrays, _ = read_artifact(base.folder)
    kept = {k: a for k, a in arrays.items() if k.startswith(("inputs/", "factors/"))}
    router = base.router.with_space(space)
    known, away = router.known, router.abroad
    return {
        **kept,
        **{f"space/{k}": a for k, a in space.arrays().items()},
        **{f"reference/{k}": a for k, a in known.arrays().items()},
        **({} if away is None else {f"abroad/{k}": a for k, a in away.arrays().items()}),
        **{f"own/{k}": a for k, a in own.arrays().items()},
    }


def _notes(share: float) -> list[str]:
    return [
        f"a head of your outcomes counts {share:.2f}, the space fitted elsewhere {1.0 - share:.2f}",
        "the space was fitted on public sets: on their prompts the figures out of fold are flattered",
    ]
