"""Hash the prompts that the shipped artifacts were fitted on: `python recipes/build_seen.py --data FOLDER`.

FOLDER as for `build_pretrained.py`. Run it after the recipes that fit, whose manifests it reads: it
refuses to speak for an artifact that was fitted on other numbers of prompts, groups and outcomes.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from build_pretrained import NAMES, prepare
from pretrained.outcomes import LINEAGE, Cells

from turnout.artifacts.opening import PRETRAINED
from turnout.data.seen import SHIPPED, SeenPrompts

ARTIFACTS = (NAMES, ("universal",))
"""Those of one recipe were fitted on the same prompts."""


def main() -> None:
    """Read, check against the manifests, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, default=PRETRAINED)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--limit", type=int, help="prompts a unit, for trying the recipe")
    args = parser.parse_args()
    cells, _ = prepare(args.data, args.limit)
    fit = cells.train & (cells.family != LINEAGE)  # as `pretrained.material` has it
    stated = {
        name: check(args.pretrained / name, cells, used)
        for names, used in zip(ARTIFACTS, (fit, cells.train), strict=True)
        for name in names
    }
    built = build(cells, fit, stated)
    built.save(args.out)
    print(f"{len(built.whole):,} prompts, {args.out.stat().st_size:,} bytes")


def check(artifact: Path, cells: Cells, used: np.ndarray) -> str:
    """The data fingerprint of an artifact; ends where it was fitted on other data than these."""
    data = json.loads((artifact / "manifest.json").read_text("utf-8"))["data"]
    counted = {
        "prompts": int(used.sum()),
        "groups": len(np.unique(cells.group[used])),
        "outcomes": int(used[cells.at].sum()),
    }
    if any(data[key] != count for key, count in counted.items()):
        raise SystemExit(f"{artifact.name} was fitted on other data than {counted}; fit it again")
    return str(data["fingerprint"])


def build(cells: Cells, fit: np.ndarray, stated: dict[str, str]) -> SeenPrompts:
    """The filter of all prompts that one of the recipes fits on."""
    bits = (fit.astype(np.uint8) << 0) | (cells.train.astype(np.uint8) << 1)
    at = np.flatnonzero(bits)
    return SeenPrompts.of(
        [cells.prompts[i] for i in at],
        bits[at],
        ARTIFACTS,
        {"command": "python recipes/build_seen.py --data FOLDER", "data": stated},
    )


if __name__ == "__main__":
    main()
