"""From fitted heads to artifact folders: pair rule, reference, measured numbers, card."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrained.abilities import Vector
from pretrained.cards import sections
from pretrained.loso import Result, difference
from pretrained.material import Material, unit_weights
from pretrained.outcomes import capped
from pretrained.tiers import TIERS
from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.routers.arrays import Arrays
from turnout.routers.base import Head
from turnout.routers.columns import Columns
from turnout.routers.inputs import Inputs
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.training.card import render_card
from turnout.types import Floats, PairRule, estimate_tokens

REFERENCE_OF_UNIT = 75
"""Prompts of a unit in the reference, which makes about 1,500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Where named models stand."""

    positions: dict[str, float]
    """Key → position."""
    models: int
    """How many measured models the keys name."""
    strong_prior: float
    weak_prior: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of a router's predictions on sources left out."""

    name: str
    platt: Platt
    predicted: Floats
    """(n, 6) calibrated, with each prompt's own family held out, NaN where it was in no held-out set."""
    pair: PairRule
    """By which order `result` was measured."""
    result: Result
    length: Result
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Judged):
    """A router of a head that is ready to be written."""

    inputs: Inputs
    head: Head


def write(
    done: Finished, material: Material, ladder: Ladder, facts: dict[str, Any], folder: Path
) -> int:
    """Write one artifact folder; returns its size in bytes.

    Args:
        done: what was fitted.
        material: what it was fitted on.
        ladder: of models.
        facts: counts and the command, for manifest and card.
        folder: the artifact's own.
    """
    manifest, arrays = described(done, material, ladder, facts)
    manifest["encoder"] = {
        "name": material.raw.encoder.name,
        "fingerprint": material.raw.encoder.fingerprint,
        "dimension": material.raw.encoder.dimension,
    }
    arrays |= {
        **{f"inputs/{k}": a for k, a in done.inputs.arrays().items()},
        **{f"head/{k}": a for k, a in done.head.arrays().items()},
    }
    card = render_card(manifest, more=sections(done.name, done.result, done.length, facts))
    write_artifact(folder, manifest, arrays, card)
    return sum(file.stat().st_size for file in folder.iterdir())


def described(
    done: Judged, material: Material, ladder: Ladder, facts: dict[str, Any]
) -> tuple[dict[str, Any], Arrays]:
    """Manifest and arrays of what all shipped routers have: ladder, calibration, reference."""
    ordered = Columns(names=TIERS, ladder={}).ordered(done.predicted)
    use = material.fit & np.isfinite(ordered).all(axis=1)
    rows = capped(material.unit, use, REFERENCE_OF_UNIT, seed=0)
    manifest = {
        "router": done.name,
        "turnout": __version__,
        "columns": {
            "names": list(TIERS),
            "ladder": ladder.positions,
            "strong_prior": ladder.strong_prior,
            "weak_prior": ladder.weak_prior,
        },
        "pair": asdict(done.pair),
        "data": facts["data"],
        "measured": measured(done, material, ordered, use),
        "recipe": {"command": facts["command"], "seed": 0, "folds": "one source family left out"},
        "notes": [*done.notes, *facts["notes"]],
    }
    reference = _reference(material, ordered, rows)
    return manifest, {
        **{f"platt/{k}": a for k, a in done.platt.arrays().items()},
        **{f"reference/{k}": a for k, a in reference.arrays().items()},
    }


def measured(
    done: Judged, material: Material, predicted: Floats, use: NDArray[np.bool_]
) -> dict[str, Any]:
    """Leave-one-source-out numbers, as they stand in the manifest."""
    gap, error, wins = difference(done.result, done.length)
    squared, constant = squared_errors(material, predicted, use)
    return {
        "loso_apgr": round(done.result.total, 4),
        "loso_apgr_prompt_length": round(done.length.total, 4),
        "loso_apgr_random": 0.5,
        "loso_families_minus_length": round(gap, 4),
        "loso_families_minus_length_standard_error": round(error, 4),
        "loso_families_above_length": f"{wins} of {len(done.result.families)}",
        "loso_squared_error": round(squared, 4),
        "loso_squared_error_of_tier_means": round(constant, 4),
    }


def squared_errors(
    material: Material, predicted: Floats, use: NDArray[np.bool_]
) -> tuple[float, float]:
    """Of predicted tier scores, and of each tier's mean; units weigh the same."""
    weight = cell_weights(material, use)
    score = np.nan_to_num(material.score[use])
    means = (weight * score).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-12)
    total = weight.sum()
    return (
        float((weight * (predicted[use] - score) ** 2).sum() / total),
        float((weight * (means - score) ** 2).sum() / total),
    )


def cell_weights(material: Material, use: NDArray[np.bool_]) -> Vector:
    """(k, 6) weights of tier scores: of their unit, and more for a mean of more models."""
    models = material.models[use]
    weight: Vector = unit_weights(material.unit[use])[:, None] * models / (models + 2)
    return weight


def fingerprint(material: Material) -> str:
    """SHA-256 over the prompts that were fitted on and their tier scores."""
    digest = hashlib.sha256()
    for i in np.flatnonzero(material.fit):
        digest.update(material.raw.texts[i].encode("utf-8", "surrogatepass") + b"\0")
    digest.update(material.score[material.fit].astype(np.float32).tobytes())
    return digest.hexdigest()


def _reference(material: Material, predicted: Floats, rows: NDArray[np.bool_]) -> Reference:
    """Without costs: a tier holds models of many prices, so its mean cost says nothing."""
    tokens = [estimate_tokens(material.raw.texts[i]) for i in np.flatnonzero(rows)]
    return Reference(
        predicted=predicted[rows],
        score=material.score[rows].astype(np.float32),
        input_tokens=np.asarray(tokens, dtype=np.float32),
        output_tokens=material.output_tokens[rows].astype(np.float32),
        cost_usd=np.full(material.score[rows].shape, np.nan, dtype=np.float32),
    )
