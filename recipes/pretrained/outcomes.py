"""Outcomes of all sets as flat arrays: cells of (prompt, model, score), and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pretrained.names import canonical

LEFT_OUT = frozenset(
    {
        ("llmrouter_uiuc", "mmlu"),
        ("llmrouter_uiuc", "gsm8k"),
        ("llmrouter_uiuc", "agentverse-mgsm"),
    }
)
"""(set, category) that hold questions of RouteLLM's benchmarks, or translations of them."""

_WHOLE = {
    "mmlu_pro": "mmlu_pro",
    "bfcl_2024_08": "bfcl",
    "livecodebench": "lcb",
    "lineage_bench": "lineage",
    "zeroeval_crux": "crux",
    "zeroeval_math-l5": "math",
    "zeroeval_numersense-v2": "numersense",
    "evalarena_humanevalplus": "humaneval",
    "evalarena_mbppplus": "mbpp",
}
_CATEGORY = {
    "natural_qa": "nq",
    "arc_challenge": "arc",
    "human_eval": "humaneval",
    "winograde": "winogrande",
}
LINEAGE = "lineage"
"""The family of one template: it counts for abilities alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """c cells of n prompts and e entries; an entry is a model as one outcome set ran it."""

    prompts: tuple[str, ...]
    outcome_set: NDArray[np.str_]
    """(n,) file that a prompt came from."""
    unit: NDArray[np.str_]
    """(n,) set, or set and category where a set is made of tasks: what weighs equally in fits."""
    family: NDArray[np.str_]
    """(n,) task, which several sets may share: what is held out together."""
    category: NDArray[np.str_]
    train: NDArray[np.bool_]
    """(n,) whether the prompt is of the part to fit on."""
    group: NDArray[np.str_]
    entry_set: NDArray[np.str_]
    """(e,)"""
    entry_model: NDArray[np.str_]
    """(e,) as spelled in the set."""
    entry_name: NDArray[np.str_]
    """(e,) canonical name."""
    at: NDArray[np.intp]
    """(c,) prompt of each cell."""
    by: NDArray[np.intp]
    """(c,) entry of each cell."""
    score: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    """(c,) NaN where unknown."""

    @property
    def n(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    def keep(self, prompts: NDArray[np.bool_]) -> Cells:
        """The cells of some prompts, with prompts numbered afresh."""
        fresh = np.cumsum(prompts) - 1
        inside = prompts[self.at]
        return Cells(
            prompts=tuple(p for p, k in zip(self.prompts, prompts, strict=True) if k),
            outcome_set=self.outcome_set[prompts],
            unit=self.unit[prompts],
            family=self.family[prompts],
            category=self.category[prompts],
            train=self.train[prompts],
            group=self.group[prompts],
            entry_set=self.entry_set,
            entry_model=self.entry_model,
            entry_name=self.entry_name,
            at=fresh[self.at[inside]].astype(np.intp),
            by=self.by[inside],
            score=self.score[inside],
            output_tokens=self.output_tokens[inside],
        )


def read_cells(
    folder: Path,
    *,
    limit: int | None = None,
    left_out: frozenset[tuple[str, str]] = LEFT_OUT,
) -> Cells:
    """All outcomes below `folder` but the categories left out.

    Args:
        folder: holds one Parquet file a set.
        limit: at most this many prompts a unit, for trying the recipe.
        left_out: (set, category) to leave out.
    """
    parts = [_read_set(file, left_out) for file in sorted(folder.glob("*.parquet"))]
    if not parts:
        raise SystemExit(f"{folder} holds no *.parquet")
    whole = _joined(parts)
    if limit is None:
        return whole
    return whole.keep(capped(whole.unit, np.ones(whole.n, dtype=np.bool_), limit, seed=0))


def capped(
    unit: NDArray[np.str_], use: NDArray[np.bool_], most: int, *, seed: int
) -> NDArray[np.bool_]:
    """(n,) a random part of the rows in use with at most `most` of a unit."""
    kept = np.zeros(len(unit), dtype=np.bool_)
    order = np.random.default_rng(seed).permutation(len(unit))
    for name in np.unique(unit):
        rows = order[(unit[order] == name) & use[order]]
        kept[rows[:most]] = True
    return kept


def _read_set(file: Path, left_out: frozenset[tuple[str, str]]) -> Cells:
    import pyarrow.parquet as pq

    name = file.stem
    table = pq.read_table(file)
    codes: dict[str, NDArray[np.intp]] = {}
    words: dict[str, list[str]] = {}
    for column in ("prompt_id", "prompt", "category", "model", "role"):
        encoded = table[column].combine_chunks().dictionary_encode()
        codes[column] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)
        words[column] = encoded.dictionary.to_pylist()
    use = np.asarray([(name, c) not in left_out for c in words["category"]])[codes["category"]]
    group = table["group"].to_numpy()
    key = np.stack([codes[c] for c in ("category", "prompt_id", "prompt")], axis=1)[use]
    first, at = _first_seen(key)
    rows = np.flatnonzero(use)[first]
    category = np.asarray(words["category"])[codes["category"][rows]]
    tasks = name in ("llmrouter_uiuc", "routerbench")
    models, by = _first_seen(codes["model"][use][:, None])
    spelled = [words["model"][codes["model"][use][i]] for i in models]
    tokens = table["output_tokens"].to_numpy(zero_copy_only=False).astype(np.float64)[use]
    return Cells(
        prompts=tuple(words["prompt"][codes["prompt"][i]] for i in rows),
        outcome_set=np.full(len(rows), name),
        unit=np.asarray([f"{name}/{c}" if tasks else name for c in category]),
        family=np.asarray([_family(name, c) for c in category]),
        category=category,
        train=np.asarray([words["role"][codes["role"][i]] == "train" for i in rows]),
        group=np.asarray([f"{name}:{group[i]}" for i in rows]),
        entry_set=np.full(len(models), name),
        entry_model=np.asarray(spelled),
        entry_name=np.asarray([canonical(m) for m in spelled]),
        at=at,
        by=by,
        score=table["score"].to_numpy(zero_copy_only=False).astype(np.float64)[use],
        output_tokens=tokens,
    )


def _family(name: str, category: str) -> str:
    return _WHOLE.get(name) or _CATEGORY.get(category, category)


def _first_seen(key: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First row of each distinct key, in order of appearance, and (c,) which key a row has."""
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.intp), rank[np.ravel(inverse)]


def _joined(parts: Sequence[Cells]) -> Cells:
    prompts = np.cumsum([0, *(p.n for p in parts)])
    entries = np.cumsum([0, *(len(p.entry_set) for p in parts)])

    def joined(field: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(p, field) for p in parts])

    rest = {
        field: joined(field) for field in Cells.__slots__ if field not in ("prompts", "at", "by")
    }
    return Cells(
        prompts=tuple(text for p in parts for text in p.prompts),
        at=np.concatenate([p.at + o for p, o in zip(parts, prompts, strict=False)]),
        by=np.concatenate([p.by + o for p, o in zip(parts, entries, strict=False)]),
        **rest,  # type: ignore[arg-type]
    )
