"""Train `mixture`: members of any kind, their weights and calibration fitted out of fold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.data.groups import group_folds
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT, open_encoder
from turnout.errors import InputError
from turnout.routers.arrays import Array, Arrays
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.platt import Platt
from turnout.training.card import render_card
from turnout.training.fit import (
    FOLDS,
    Fitted,
    Progress,
    _groups,
    check_table,
    data_facts,
    make_reference,
)
from turnout.training.measuring import measure
from turnout.training.members import Member, Weights, fit_member, read_members
from turnout.training.simplex import fit_weights
from turnout.types import Floats

DEFAULT_MEMBERS = "knn,mf,clusters,sw_ranking"
LEAST_WEIGHT = 1e-3
"""A member that counts for less is not kept: it would cost its time and size for nothing."""


def train_mixture(
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
    members: str = DEFAULT_MEMBERS,
    weights: str = "fitted",
) -> Fitted:
    """Fit members on outcomes, and how much each counts.

    Members that `turnout train` can fit are fitted; others are opened by name, and the artifact
    holds their name and fingerprint. Weights are the least squares on the simplex (Breiman 1996,
    stacked regressions), drawn to even ones as far as the error out of fold says.

    Args:
        table: prompts by models.
        encoder: of the members that are fitted.
        seed: for folds and members.
        source: one line for the card.
        progress: told what is being done.
        checkpoint: folder for finished folds of the members.
        members: names with commas between; `NAME?KEY=VALUE&KEY=VALUE` gives one options.
        weights: `fitted` or `even`.

    Raises:
        InputError: fewer than two members, one twice, one that cannot be a member, or weights of
            another kind.
        UnknownNameError: no such router.
        DataError: outcomes that a member cannot be fitted on, or models that it cannot predict.
    """
    if weights not in get_args(Weights):
        raise InputError("weights", weights, f"give one of {', '.join(get_args(Weights))}")
    chosen = read_members(members)
    notes = check_table(table)
    given, table = table, _strongest_first(table)
    groups = _groups(table)
    fold = group_folds(groups, FOLDS, seed=seed)
    made = [
        fit_member(
            member,
            table,
            fold,
            encoder=encoder,
            seed=seed,
            source=source,
            progress=progress,
            checkpoint=None if checkpoint is None else checkpoint / member.label,
        )
        for member in chosen
    ]
    progress("weighing the members")
    each = np.stack([member.predicted for member in made])
    weight, average = _weighed(weights, each, table.score, fold)
    kept = np.flatnonzero(weight >= LEAST_WEIGHT)
    platt = Platt.fit(average, table.score)
    predicted = platt.apply(average)
    worth = _worth(made, weight, table.score)
    weight = weight[kept] / weight[kept].sum()
    stated, arrays, files = _stored([made[i] for i in kept])
    opened = open_encoder(encoder)
    manifest: dict[str, Any] = {
        "router": "mixture",
        "turnout": __version__,
        "encoder": {
            "name": opened.name,
            "fingerprint": opened.fingerprint,
            "dimension": opened.dimension,
        },
        "columns": {"names": list(table.models)},
        "pair": asdict(fit_pair_rule(predicted, table.score)),
        "members": stated,
        "weights": weights,
        "weighed": worth,
        "data": data_facts(given, groups, source),
        "measured": measure(table, predicted, groups, seed=seed),
        "recipe": {"command": "turnout train mixture", "seed": seed, "folds": FOLDS},
        "notes": [*table.notes, *notes, *_notes(made, kept)],
    }
    reference = make_reference(table, predicted, seed)
    arrays |= {
        "weights": weight.astype(np.float32),
        **{f"platt/{k}": a for k, a in platt.arrays().items()},
        **{f"reference/{k}": a for k, a in reference.arrays().items()},
    }
    return Fitted(
        name="mixture",
        manifest=manifest,
        arrays=arrays,
        card=render_card(manifest, more=_section(worth)),
        files=files,
        predicted=predicted[:, [table.models.index(name) for name in given.models]],
    )


def _weighed(how: str, each: Floats, score: Array, fold: NDArray[np.intp]) -> tuple[Array, Floats]:
    if how == "fitted":
        return fit_weights(each, score, fold)
    return np.full(len(each), 1.0 / len(each)), np.asarray(each.mean(axis=0), dtype=np.float32)


def _stored(made: Sequence[Member]) -> tuple[dict[str, Any], Arrays, dict[str, bytes]]:
    """What manifest, arrays and further files hold of the members.

    Heads that are fitted on the same prompts have the same inputs, most of their size: an array
    that an earlier member holds is stored once, and `shared` says where.
    """
    stated: dict[str, Any] = {}
    arrays: Arrays = {}
    files: dict[str, bytes] = {}
    held: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for member in made:
        shared: dict[str, str] = {}
        for key, array in member.arrays.items():
            place = f"members/{member.label}/{key}"
            digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
            found = held.setdefault((array.dtype.str, array.shape, digest), place)
            if found == place:
                arrays[place] = array
            else:
                shared[key] = found
        stated[member.label] = dict(member.stated) | ({"shared": shared} if shared else {})
        files |= {f"{member.label}.{k}": content for k, content in member.files.items()}
    return stated, arrays, files


def _worth(made: Sequence[Member], weight: Array, score: Array) -> dict[str, dict[str, float]]:
    """Weight and Brier score out of fold of each member, also of one that has no weight."""
    seen = np.isfinite(score)
    return {
        member.label: {
            "weight": round(float(w), 4),
            "brier_out_of_fold": round(float(((member.predicted - score)[seen] ** 2).mean()), 5),
        }
        for member, w in zip(made, weight, strict=True)
    }


def _notes(made: Sequence[Member], kept: NDArray[np.intp]) -> list[str]:
    found: list[str] = []
    for i, member in enumerate(made):
        found += member.notes if i in kept else [f"member {member.label} has no weight: not kept"]
    return found


def _section(worth: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        f"| `{label}` | {found['weight']} | {found['brier_out_of_fold']} |"
        for label, found in worth.items()
    ]
    head = ["## Members", "", "| member | weight | Brier alone, out of fold |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _strongest_first(table: OutcomeTable) -> OutcomeTable:
    """By mean score: `rules` and others read a pool's order as that of strength."""
    order = np.argsort(-np.nanmean(table.score, axis=0), kind="stable")
    return table.columns([table.models[j] for j in order])
