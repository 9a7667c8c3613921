"""Fit the `universal` artifact that ships: `python recipes/build_universal.py --data FOLDER`.

FOLDER as for `build_pretrained.py`. Needs numpy and pyarrow; a few minutes on one core; the same
data gives the same arrays.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import argparse
import hashlib
import os
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from build_pretrained import prepare
from pretrained.abilities import fit_scale
from pretrained.cards import SOURCES
from pretrained.outcomes import Cells
from pretrained.universal import build

from turnout.artifacts.opening import PRETRAINED

_LIMITS = """\
## What it is not good for

- Prompts of a kind that it was not fitted on: on a source left out its level is often wrong. Label
  some of your own before you count on it.
- Open-ended chat, and languages other than English: almost all outcomes are questions with one
  right answer, code, or tool calls in English.
- Models newer than the data (2023 to early 2025): an unknown name stands at the prior, and the
  decision says so."""


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PRETRAINED / "universal")
    parser.add_argument("--limit", type=int, help="prompts a unit, for trying the recipe")
    parser.add_argument(
        "--all-tasks",
        action="store_true",
        help="for benchmarks: also fit the tasks that the shipped artifact leaves out",
    )
    args = parser.parse_args()
    if args.all_tasks and args.out == PRETRAINED / "universal":
        parser.error("--all-tasks makes no artifact to ship: name a folder with --out")
    started = time.perf_counter()
    cells, dropped = prepare(args.data, args.limit, all_tasks=args.all_tasks)
    size = build(cells, fit_scale(cells).sound, facts(cells, dropped), args.out)
    print(f"universal: {size:,} bytes in {time.perf_counter() - started:.0f} s")


def facts(cells: Cells, dropped: dict[str, Any]) -> dict[str, Any]:
    """What manifest and card say of the data."""
    digest = hashlib.sha256()
    for i in np.flatnonzero(cells.train):
        digest.update(cells.prompts[i].encode("utf-8", "surrogatepass") + b"\0")
    inside = cells.train[cells.at]
    digest.update(cells.score[inside].astype(np.float32).tobytes())
    present = set(np.unique(cells.outcome_set).tolist())
    table = [
        "## Fitted on",
        "",
        "Weights only: no prompt's text or vector is part of the artifact; prototypes are centres of",
        "three prompts or more. Scores of some train prompts are kept as reference, without texts.",
        "Fitted on the train part alone.",
        "",
        "| set | what | licence | prompts train / dev | models |",
        "|---|---|---|---|---|",
    ]
    for key, what, licence in SOURCES:
        if key in present:
            mine = cells.outcome_set == key
            counts = f"{(mine & cells.train).sum():,} / {(mine & ~cells.train).sum():,}"
            what = what.replace(", abilities only", "")
            models = (cells.entry_set == key).sum()
            table.append(f"| `{key}` | {what} | {licence} | {counts} | {models} |")
    tasks = "- `llmrouter_uiuc`: its MMLU, GSM8K and MGSM parts, which hold RouteLLM's questions.\n"
    left_out = (
        "## Left out\n\n"
        f"{'' if dropped['all_tasks'] else tasks}"
        f"- {sum(dropped['dropped'].values())} prompts close to one of RouteLLM's "
        f"{dropped['evaluation_prompts']:,} evaluation prompts. No label of its files was fitted on."
    )
    return {
        "command": "python recipes/build_universal.py --data FOLDER",
        "card": "\n\n".join(["\n".join(table), left_out, _LIMITS]),
        "notes": [
            "`model@set` is a model on prompts like those of one outcome set, its plain name on any",
        ],
        "data": {
            "source": f"{len(present)} public outcome sets, listed in the card",
            "fingerprint": digest.hexdigest(),
            "prompts": int(cells.train.sum()),
            "groups": len(np.unique(cells.group[cells.train])),
            "outcomes": int(inside.sum()),
        },
    }


if __name__ == "__main__":
    main()
