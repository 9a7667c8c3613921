"""Fit a router on outcomes: rows, out-of-fold predictions, the head, the artifact."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.artifacts.folder import write_artifact
from turnout.artifacts.opening import head_of, open_parts
from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT, open_encoder
from turnout.errors import DataError
from turnout.routers.arrays import Arrays, column_means
from turnout.routers.base import FittedHead, Router
from turnout.routers.inputs import Inputs, RawRows, fit_inputs
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.platt import Platt
from turnout.routers.reference import Reference
from turnout.routers.ridge import choose_penalty
from turnout.training.card import render_card
from turnout.training.measuring import measure
from turnout.training.resume import keep_fold, kept_fold
from turnout.types import Floats, estimate_tokens

LEAST_PROMPTS = 20
"""Below this nothing can be fitted and checked out of fold."""
ADVISED_PROMPTS = 300
"""Below this many labels nothing reliably beats prompt length."""
FOLDS = 5
STEPS = FOLDS + 4
"""How often `fit_router` tells its progress: encoding, inputs, folds, the last fit, the end."""
MOST_REFERENCE = 2_000
"""Prompts kept as reference: enough for a share within 2 points, and small."""

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted router, not yet written."""

    name: str
    manifest: dict[str, Any]
    arrays: Arrays
    card: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What else the artifact holds, by plain file name."""
    predicted: Floats | None = field(default=None, compare=False, repr=False)
    """(n, m) calibrated predictions out of fold, of all prompts, where the fit made them; not
    written. The columns are the table's."""

    def open(self) -> Router:
        """The router itself, in memory."""
        return open_parts(self.name, self.manifest, self.arrays, self.files)

    def write(self, folder: Path) -> str:
        """Write the artifact folder; returns its fingerprint."""
        return write_artifact(folder, self.manifest, self.arrays, self.card, files=self.files)


def fit_router(
    name: str,
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit a trainable router on a table of outcomes, on one CPU in seconds to minutes.

    Prompts of one group, and near-duplicates, never part in a fold. The same seed, data and version
    give the same artifact.

    Args:
        name: which router; see `artifacts.opening.trainable`.
        table: prompts by models.
        encoder: name of the encoder.
        seed: for folds and heads.
        source: one line for the card: where the outcomes come from, and their licence.
        progress: told what is being done.
        checkpoint: folder for the predictions of finished folds, of this fit alone; those found
            there are taken over.

    Raises:
        UnknownNameError: no such trainable router or encoder.
        DataError: too few prompts or models, or outcomes that are all the same.
    """
    head_of(name)  # an unknown name is an error before any work
    started = time.perf_counter()
    notes = check_table(table)
    progress(f"encoding {len(table.prompts)} prompts")
    opened = open_encoder(encoder)
    raw, groups = RawRows.of(opened, table.prompts), _groups(table)
    parts = fit_parts(
        name, raw, table.score, groups, seed=seed, progress=progress, checkpoint=checkpoint
    )
    predicted = parts.predicted
    pair = fit_pair_rule(predicted, table.score)
    reference = make_reference(table, predicted, seed)
    measured = measure(table, predicted, groups, seed=seed)
    manifest: dict[str, Any] = {
        "router": name,
        "turnout": __version__,
        "encoder": {
            "name": opened.name,
            "fingerprint": opened.fingerprint,
            "dimension": opened.dimension,
        },
        "columns": {"names": list(table.models)},
        "pair": asdict(pair),
        "data": data_facts(table, groups, source),
        "measured": measured,
        "recipe": {"command": f"turnout train {name}", "seed": seed, "folds": FOLDS},
        "notes": [*table.notes, *notes],
    }
    arrays = {
        **{f"inputs/{k}": a for k, a in parts.inputs.arrays().items()},
        **{f"head/{k}": a for k, a in parts.head.arrays().items()},
        **{f"platt/{k}": a for k, a in parts.platt.arrays().items()},
        **{f"reference/{k}": a for k, a in reference.arrays().items()},
    }
    progress(f"fitted in {time.perf_counter() - started:.1f} s")
    return Fitted(
        name=name,
        manifest=manifest,
        arrays=arrays,
        card=render_card(manifest),
        predicted=predicted,
    )


@dataclass(frozen=True, kw_only=True)
class FittedParts:
    """What is learned from n prompts and their (n, m) scores."""

    inputs: Inputs
    head: FittedHead
    platt: Platt
    predicted: Floats
    """(n, m) calibrated predictions, out of fold."""

    def predict(self, texts: Sequence[str]) -> Floats:
        """(k, m) calibrated quality of k texts."""
        return self.platt.apply(self.head.predict(self.inputs.rows(texts)))


def fit_parts(
    name: str,
    raw: RawRows,
    score: Floats,
    groups: NDArray[np.intp],
    *,
    seed: int = 0,
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
) -> FittedParts:
    """Fit the inputs, the head, and the calibration of a router.

    The inputs look at texts alone and are fitted once; folds are for what looks at scores. The
    ridge penalty is chosen once, by cross-validation over the same groups.

    Args:
        name: which router.
        raw: n prompts.
        score: (n, m), NaN where missing.
        groups: (n,) group of each prompt.
        seed: for inputs, folds and heads.
        progress: told what is being done.
        checkpoint: folder for the predictions of finished folds.
    """
    head = head_of(name)
    progress("fitting the inputs")
    inputs, rows = fit_inputs(raw, seed=seed)
    penalty = choose_penalty(rows, score, groups, seed=seed)
    predicted = np.tile(column_means(score), (len(score), 1)).astype(np.float32)
    fold = group_folds(groups, FOLDS, seed=seed) if len(np.unique(groups)) > 1 else None
    for f in range(FOLDS) if fold is not None else ():
        held = np.asarray(fold == f)
        if held.any():
            kept = kept_fold(checkpoint, f, (int(held.sum()), score.shape[1]))
            progress(
                f"fold {f + 1} of {FOLDS}" + (", kept from before" if kept is not None else "")
            )
            if kept is None:
                part = head.fit(
                    rows[~held], score[~held], groups[~held], seed=seed, penalty=penalty
                )
                kept = part.predict(rows[held])
                keep_fold(checkpoint, f, kept)
            predicted[held] = kept
    progress("fitting on all prompts")
    platt = Platt.fit(predicted, score)
    return FittedParts(
        inputs=inputs,
        head=head.fit(rows, score, groups, seed=seed, penalty=penalty),
        platt=platt,
        predicted=platt.apply(predicted),
    )


def check_table(table: OutcomeTable) -> list[str]:
    """Notes on outcomes that can be fitted.

    Raises:
        DataError: they cannot be.
    """
    n, m = table.shape
    if m < 2:
        raise DataError("models", list(table.models), "give outcomes of at least two models")
    if n < LEAST_PROMPTS:
        raise DataError("prompts", n, f"give at least {LEAST_PROMPTS} labelled prompts")
    seen = np.isfinite(table.score)
    for j, model in enumerate(table.models):
        if not seen[:, j].any():
            raise DataError("models", model, "it has no score on any prompt: leave it out")
    values = table.score[seen]
    if float(values.max()) == float(values.min()):
        raise DataError(
            "score", float(values[0]), "every outcome is the same, so there is nothing to learn"
        )
    notes = [
        f"{model} scored {float(column[0]):g} on every prompt it was given"
        for model, column in (
            (model, table.score[seen[:, j], j]) for j, model in enumerate(table.models)
        )
        if len(column) > 1 and float(column.max()) == float(column.min())
    ]
    if n < ADVISED_PROMPTS:
        notes.append(
            f"{n} prompts: below {ADVISED_PROMPTS} labels little beats prompt length reliably"
        )
    return notes


def data_facts(table: OutcomeTable, groups: NDArray[np.intp], source: str) -> dict[str, Any]:
    """What a manifest says of the outcomes that were fitted on: `groups` is (n,), numbered from 0."""
    return {
        "source": source,
        "fingerprint": data_fingerprint(table),
        "prompts": len(table.prompts),
        "groups": int(groups.max()) + 1,
        "outcomes": int(np.isfinite(table.score).sum()),
    }


def data_fingerprint(table: OutcomeTable) -> str:
    """SHA-256 over prompts, models and scores, in order."""
    digest = hashlib.sha256("\0".join(table.models).encode())
    for prompt in table.prompts:
        digest.update(prompt.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    digest.update(np.ascontiguousarray(table.score, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _groups(table: OutcomeTable) -> NDArray[np.intp]:
    """(n,) groups that no split parts: the table's own, and near-duplicates."""
    return near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])


def make_reference(table: OutcomeTable, predicted: Floats, seed: int) -> Reference:
    """What an artifact remembers of (n, m) out-of-fold predictions, of at most 2,000 prompts."""
    n = len(table.prompts)
    keep = np.arange(n)
    if n > MOST_REFERENCE:
        keep = np.sort(np.random.default_rng(seed).permutation(n)[:MOST_REFERENCE])
    tokens = np.asarray([estimate_tokens(p) for p in table.prompts], dtype=np.float32)
    given = table.input_tokens
    known = np.isfinite(given).any(axis=1)
    mean = np.nansum(given, axis=1) / np.maximum(np.isfinite(given).sum(axis=1), 1)
    return Reference(
        predicted=predicted[keep],
        score=table.score[keep],
        input_tokens=np.where(known, mean, tokens)[keep].astype(np.float32),
        output_tokens=table.output_tokens[keep],
        cost_usd=table.cost_usd[keep],
    )
