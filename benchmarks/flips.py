"""How often a rewording that leaves the task alone changes what a router decides, and at what loss.

    python benchmarks/flips.py --data folder [--routers blend,knn]

The folder is that of `benchmarks/quality.py`. Routers are fitted on the train part of LLMRouter-9 and
reported on its dev part: the share of prompts whose decision for the best quality changes, and the
mean score less that of the prompts as they were, with 95% intervals by a bootstrap over groups. The
first three changes are those of the table "Every router"; the others were written down after the
normalisation of texts and the rule for near ties were chosen, and nothing was chosen on them.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from quality import field_of
from router_table import NOISE, best_quality, operating_points_of

from turnout import Candidate, Query
from turnout.training import trainers

NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioposdfghjklkxcvbnmn", strict=True))
"""Each letter's right neighbour on the keyboard (the left one at the end of a row)."""


def left_out(text: str) -> str:
    """2% of the letters left out, always the same ones."""
    drawn = np.random.default_rng(len(text) + 1).random(len(text)) < 0.02
    return "".join(c for c, gone in zip(text, drawn, strict=True) if not (gone and c.isalpha()))


def mistyped(text: str) -> str:
    """2% of the letters struck one key to the side, always the same ones."""
    drawn = np.random.default_rng(len(text) + 2).random(len(text)) < 0.02
    return "".join(NEIGHBOURS.get(c, c) if hit else c for c, hit in zip(text, drawn, strict=True))


UNSEEN: dict[str, Callable[[str], str]] = {
    "letters left out": left_out,
    "neighbouring keys": mistyped,
    "blanks doubled": lambda text: re.sub(r"(?<=\S) (?=\S)", "  ", text),
    "no final mark": lambda text: text.rstrip(" \n.?!:"),
    "another opening": lambda text: (
        "If it is not too much to ask, I was wondering whether you could lend me a hand. " + text
    ),
    "another closing": lambda text: (
        text + "\n\nThank you so much for taking the time to help me with this!"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Decisions that a rewording changes.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--routers", default="blend")
    args = parser.parse_args()
    at = field_of(args.data / "outcomes", "LLMRouter-9")
    train = at.train
    candidates = [Candidate(name=model) for model in train.models]
    print(f"LLMRouter-9, {len(train.prompts):,} train, {len(at.dev.prompts):,} dev prompts\n")
    print(
        "| router | change | decisions changed | mean score | less that of the prompts as they were |"
    )
    print("|---|---|---|---|---|")
    for name in args.routers.split(","):
        router = trainers.train(name, train, source="train part").open()
        points = operating_points_of(router, candidates, None)

        def decided(change: Callable[[str], str], router=router, points=points) -> np.ndarray:  # type: ignore[no-untyped-def]
            queries = [Query.of(change(p)) for p in at.dev.prompts]
            return best_quality(points, router.predict(queries, candidates).quality, at)

        before, every = decided(lambda text: text), np.arange(len(at.score))
        for kind, change in {**NOISE, **UNSEEN}.items():
            pick = decided(change)
            got = at.score[every, pick]
            lost = at.mean(got - at.score[every, before])
            moved = at.mean((pick != before).astype(np.float64))
            cells = [
                f"{e.value:{f}} [{e.low:{f}} {e.high:{f}}]"
                for e, f in ((moved, ".3f"), (lost, "+.3f"))
            ]
            print(f"| {name} | {kind} | {cells[0]} | {got.mean():.3f} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
