"""Fit the artifacts that ship in the package: `python recipes/build_pretrained.py --data FOLDER`.

FOLDER holds `outcomes/*.parquet`, one row a (prompt, model), and `routellm/`, laid out like
RouteLLM's `evals/`, which is read only to keep its prompts out. Needs numpy and pyarrow; takes a
few minutes on one core; the same data gives the same arrays.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: sums in one order, so arrays are the same

import numpy as np
from pretrained import loso
from pretrained.abilities import Scale, fit_scale
from pretrained.calibration import tied_platt
from pretrained.exclusions import evaluation_prompts, near_duplicates
from pretrained.heads import fits
from pretrained.material import Material
from pretrained.outcomes import LEFT_OUT, Cells, read_cells
from pretrained.tiers import ladder, measured_positions, priors
from pretrained.writing import Finished, Ladder, cell_weights, fingerprint, write

from turnout.artifacts.opening import PRETRAINED
from turnout.encoders.opening import open_encoder
from turnout.features import FEATURES
from turnout.routers.inputs import RawRows
from turnout.routers.platt import Platt
from turnout.types import Floats, PairRule

NAMES = ("blend", "mf", "linear", "knn", "clusters", "sw_ranking")
RANKINGS = frozenset({"sw_ranking"})
"""Routers that say who wins and nothing of how well: only their levels are calibrated."""


def main() -> None:
    """Read, fit, evaluate with each source left out, write."""
    args = _arguments()
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {text}", flush=True)

    cells, facts = prepare(args.data, args.limit)
    say(f"{cells.n:,} prompts, {len(cells.at):,} outcomes; dropped {facts['dropped']}")
    scale = fit_scale(cells)
    raw = RawRows.of(open_encoder(), cells.prompts)
    material = Material.of(cells, scale, raw)
    rungs = ladder_of(cells, scale)
    facts |= data_facts(cells, scale, material)
    units = loso.find_units(cells, scale, material.fit)
    holds = loso.held_out_sets(cells, material.fit)
    chars, stem = (FEATURES.index(f) for f in ("log_chars", "log_stem_words"))
    length = loso.score(units, lambda u: raw.features[u.rows, chars])
    words = loso.score(units, lambda u: raw.features[u.rows, stem])
    say(f"left out: prompt length {length.total:.4f}, words before options {words.total:.4f}")
    for name, fit in fits(material).items():
        if name not in args.only.split(","):
            continue
        raw_out = loso.predictions(fit, material, holds)
        ranks = name in RANKINGS
        platt = calibration(own_family(raw_out, material), material, fixed=1.0 if ranks else None)
        held_out = {held: platt.apply(quality) for held, quality in raw_out.items()}
        by_weak = loso.score(units, loso.by_win_rate(held_out))
        by_gain = loso.score(units, loso.by_gain(held_out))
        uncalibrated = loso.score(units, loso.by_gain(raw_out))
        inputs, head = fit(material.fit)
        done = Finished(
            name=name,
            inputs=inputs,
            head=head,
            platt=platt,
            predicted=own_family(held_out, material),
            pair=PairRule("difference" if ranks else "weak_fails"),
            result=by_gain if ranks else by_weak,
            length=length,
            notes=(
                f"qualities are calibrated on sources left out{' (levels alone)' if ranks else ''}; "
                f"APGR with sources left out by 1 - the weak model's quality {by_weak.total:.4f}, by "
                f"the gain in quality {by_gain.total:.4f}, before calibration "
                f"{uncalibrated.total:.4f}; win rates are "
                f"{'the gain' if ranks else 'the first'}",
            ),
        )
        size = write(done, material, rungs, facts, args.out / name)
        say(f"{name}: left out {done.result.total:.4f}, {size:,} bytes")


def prepare(
    data: Path, limit: int | None = None, *, all_tasks: bool = False
) -> tuple[Cells, dict[str, Any]]:
    """Outcomes without what is close to RouteLLM's prompts, and what was dropped by set.

    With `all_tasks` nothing is dropped: of a fit that is measured on these outcomes alone.
    """
    cells = read_cells(
        data / "outcomes", limit=limit, left_out=frozenset() if all_tasks else LEFT_OUT
    )
    if all_tasks:
        return cells, {"dropped": {}, "evaluation_prompts": 0, "all_tasks": True}
    others = evaluation_prompts(data / "routellm")
    encoder = open_encoder()
    close = near_duplicates(
        cells.prompts, encoder.encode(cells.prompts), others, encoder.encode(others)
    )
    names, counts = np.unique(cells.outcome_set[close], return_counts=True)
    dropped = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return cells.keep(~close), {
        "dropped": dropped,
        "evaluation_prompts": len(others),
        "all_tasks": False,
    }


def own_family(held_out: dict[frozenset[str], Floats], material: Material) -> Floats:
    """(n, 6) predictions with the prompt's own family held out, and no other."""
    found = np.full(material.score.shape, np.nan, dtype=np.float32)
    for held, predicted in held_out.items():
        if len(held) == 1:
            rows = material.family == next(iter(held))
            found[rows] = predicted[rows]
    return found


def calibration(predicted: Floats, material: Material, *, fixed: float | None = None) -> Platt:
    """Levels per tier and one slope for all, on predictions with each prompt's family held out.

    Quality is what a router predicts, so it should be the quality that is observed. One slope
    keeps the tiers' curves parallel: a slope for each would bend the order of gains, which on
    sources left out is all that there is to know. `fixed` is a slope that is not fitted.
    """
    use = material.fit & np.isfinite(predicted).all(axis=1)
    return tied_platt(predicted[use], material.score[use], cell_weights(material, use), fixed=fixed)


def ladder_of(cells: Cells, scale: Scale) -> Ladder:
    """Where the measured models stand, and unknown ones."""
    positions = measured_positions(cells, scale)
    strong, weak = priors(positions)
    return Ladder(
        positions=ladder(positions), models=len(positions), strong_prior=strong, weak_prior=weak
    )


def data_facts(cells: Cells, scale: Scale, material: Material) -> dict[str, Any]:
    """What manifest and card say of the data."""
    sets = {
        name: (
            int((cells.train & (cells.outcome_set == name)).sum()),
            int((~cells.train & (cells.outcome_set == name)).sum()),
            int((cells.entry_set == name).sum()),
        )
        for name in np.unique(cells.outcome_set).tolist()
    }
    return {
        "command": "python recipes/build_pretrained.py --data FOLDER",
        "sets": sets,
        "entries": len(cells.entry_set),
        "unsound": int((~scale.sound).sum()),
        "notes": ["columns are tiers of ability, weakest first; named models stand on a ladder"],
        "data": {
            "source": f"{len(sets)} public outcome sets, listed in the card",
            "fingerprint": fingerprint(material),
            "prompts": int(material.fit.sum()),
            "groups": len(np.unique(cells.group[material.fit])),
            "outcomes": int(material.fit[cells.at].sum()),
        },
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    parser.add_argument("--only", default=",".join(NAMES), help="names with commas between")
    parser.add_argument("--limit", type=int, help="prompts a unit, for trying the recipe")
    return parser.parse_args()


if __name__ == "__main__":
    main()
