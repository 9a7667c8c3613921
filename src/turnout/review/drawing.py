"""Which prompts to grade: those that tell most, drawn so that what they tell stays unbiased.

The units are different prompts (repeats are graded once and count as often as they were sent). They
are stratified by kind and by how near they are to where the knob stands, near ones drawn more often,
and every one has a known chance above 0 of being drawn. The estimators undo those chances.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.data.logs import LogCall
from turnout.errors import InputError
from turnout.review.clusters import Clusters
from turnout.review.columns import Columns

NEARNESS = ("near", "middling", "far")
EMPHASIS = (3.0, 1.5, 1.0)
"""How much more often a prompt near the knob's position is drawn than one far from it."""
LEAST_OF_STRATUM = 2
LEAST_DRAWN = 10
_FILE_NAME = re.compile(r"[^\w.@-]+")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Prompts that were drawn."""

    rows: NDArray[np.intp]
    """(k,) a call that holds each of them, ascending."""
    inclusion: NDArray[np.float64]
    """(k,) the chance with which each was drawn."""
    stratum: tuple[str, ...]
    calls: NDArray[np.intp]
    """(k,) how many calls hold it."""


def units(columns: Columns) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Different prompts: (u,) the first row of each, ascending; (u,) calls of each; (n,) its unit."""
    _, first, back, count = np.unique(
        columns.near, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return first[order], count[order], rank[back]


def draw(
    columns: Columns,
    clusters: Clusters,
    leaves: NDArray[np.intp],
    setting: int,
    count: int,
    *,
    seed: int = 0,
) -> Drawing:
    """Draw different prompts to be graded.

    Args:
        columns: n calls.
        clusters: their kinds.
        leaves: (n,) setting of the knob from which another model than the strongest serves the call.
        setting: where the knob stands.
        count: how many prompts.
        seed: the same seed draws the same prompts.

    Raises:
        InputError: fewer than 10, or more than there are different prompts.
    """
    first, calls, _ = units(columns)
    if not LEAST_DRAWN <= count <= len(first):
        remedy = f"give a number from {LEAST_DRAWN} to {len(first):,}, the different prompts here"
        raise InputError("label", count, remedy)
    strata, names = _strata(clusters, first, np.abs(leaves[first] - setting), count)
    emphasised = calls * _emphasis(names)[strata]
    weight = np.bincount(strata, weights=emphasised, minlength=len(names)).astype(np.float64)
    size = np.bincount(strata, minlength=len(names))
    take = allocate(weight, size, count)
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(strata == h), size=int(k), replace=False)
        for h, k in enumerate(take)
    ]
    unit = np.sort(np.concatenate(chosen))
    return Drawing(
        rows=first[unit],
        inclusion=(take / size)[strata[unit]],
        stratum=tuple(names[h] for h in strata[unit]),
        calls=calls[unit],
    )


def _strata(
    clusters: Clusters, first: NDArray[np.intp], distance: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], list[str]]:
    """(u,) stratum of each unit and the names; without kinds where the count is too small for them."""
    rank = np.argsort(np.argsort(distance, kind="stable"), kind="stable")
    third = np.minimum(rank * 3 // len(rank), 2)
    kinds = len(clusters.names)
    kind = clusters.of[first]
    if count < LEAST_OF_STRATUM * 3 * kinds:
        kind, kinds = np.zeros(len(first), dtype=np.intp), 1
    label = [
        f"{clusters.names[k] if kinds > 1 else 'all kinds'} / {NEARNESS[t]}"
        for k in range(kinds)
        for t in range(3)
    ]
    used, strata = np.unique(kind * 3 + third, return_inverse=True)
    return np.asarray(strata, dtype=np.intp), [label[i] for i in used]


def _emphasis(names: Sequence[str]) -> NDArray[np.float64]:
    return np.asarray([EMPHASIS[NEARNESS.index(n.rpartition(" / ")[2])] for n in names])


def allocate(weight: NDArray[np.floating], size: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """How many units of each stratum: by weight, at least 2 (or all it has), at most all it has.

    Args:
        weight: (h,) positive.
        size: (h,) units of each; at least 1.
        count: in all; at most the sum of the sizes.
    """
    take = np.minimum(size, LEAST_OF_STRATUM if count >= LEAST_OF_STRATUM * len(size) else 1)
    while (left := count - int(take.sum())) > 0:
        open_ = take < size
        share = np.where(open_, weight, 0.0)
        want = share / share.sum() * left
        more = np.minimum(np.floor(want).astype(np.intp), size - take)
        if not more.any():  # less than one for each: the largest remainders, ties to the first
            order = np.argsort(-np.where(open_, want, -1.0), kind="stable")
            more[order[: min(left, int(open_.sum()))]] = 1
        take = take + more
    return np.asarray(take, dtype=np.intp)


def write_drawing(
    path: Path,
    drawing: Drawing,
    columns: Columns,
    calls: Mapping[int, LogCall],
    answered_by: Mapping[int, str],
    models: Mapping[str, str],
) -> None:
    """Write the prompts to be graded, and what to ask for the answers that are missing.

    The first file is JSONL; each row is one of the outcomes format as well, once its scores are filled
    in. Beside it, `ask-MODEL.jsonl` is a batch's input file with the prompts that candidate has not
    answered. All hold prompts, so only their owner may read them.

    Args:
        path: of the prompts.
        drawing: which.
        columns: n calls.
        calls: row → call.
        answered_by: row → candidate that answered, where it is one.
        models: candidate → its name upstream.
    """
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(drawing.rows.tolist()):
        call = calls[row]
        rows.append(
            {
                "id": prompt_id(columns, row),
                "prompt": call.query.text,
                "models": dict.fromkeys(models),
                "answers": {answered_by.get(row, call.model): call.answer} if call.answer else {},
                "reference": None,
                "inclusion": float(drawing.inclusion[i]),
                "calls": int(drawing.calls[i]),
                "stratum": drawing.stratum[i],
                "messages": [dict(m) for m in call.messages],
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, rows)
    for model, upstream in models.items():
        asked = [_request(row, upstream) for row in rows if model not in row["answers"]]
        _write(path.with_name(f"ask-{_FILE_NAME.sub('-', model)}.jsonl"), asked)


def _request(row: Mapping[str, Any], upstream: str) -> dict[str, Any]:
    return {
        "custom_id": row["id"],
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": upstream, "messages": row["messages"]},
    }


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def prompt_id(columns: Columns, row: int) -> str:
    """The id of a call's prompt in a file of labels."""
    return f"{int(columns.near[row]):016x}"
