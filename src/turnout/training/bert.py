"""`turnout train bert`: fine-tune a small transformer on outcomes, and write it as int8 ONNX."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.artifacts.folder import read_artifact, read_file
from turnout.artifacts.opening import shipped
from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.encoders.transformer import TokenModel
from turnout.errors import DataError, InputError
from turnout.routers.arrays import sigmoid
from turnout.routers.bert import MODEL, NAME, TOKENIZER
from turnout.routers.feature_term import FeatureTerm
from turnout.routers.inputs import plain
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.platt import Platt
from turnout.training.bert_fit import Fit, Plan, Texts, fit_network
from turnout.training.card import render_card
from turnout.training.checkpoint import WORDS, Checkpoint, read_checkpoint
from turnout.training.fit import (
    Fitted,
    Progress,
    check_table,
    data_facts,
    data_fingerprint,
    make_reference,
)
from turnout.training.graph import build_onnx
from turnout.training.graph_weights import read_graph
from turnout.training.measuring import measure
from turnout.training.vocabulary import prune_vocabulary
from turnout.types import Floats

PARTS = 10
"""Groups are dealt into tenths: two calibrate, one says when to stop, seven are fitted on."""


def train_bert(
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
    base: str = "",
    epochs: int = 1,
    rate: float = 2e-4,
    batch: int = 16,
    layers: int = 0,
    tokens: int = 96,
    pieces: int = 0,
) -> Fitted:
    """Fine-tune `base` to predict each model's score. See `Trainer`.

    Args:
        table: prompts by models.
        encoder: not used: the base is its own encoder.
        seed: of parts, head and order.
        source: one line for the card.
        progress: told of each epoch.
        checkpoint: folder for finished epochs: a run that was killed goes on from its last whole one.
        base: folder of a BERT-shaped model, Hugging Face's layout in safetensors; without one, the
            encoder of the artifact that ships.
        epochs: at most; it stops earlier when groups held out for it get no better, and what is
            kept may be the frozen base with a fitted head, which is all that 0 fits.
        rate: AdamW's learning rate at the start; it falls to zero.
        batch: prompts a step.
        layers: first layers of the base that are kept; 0 keeps all. Time is in proportion.
        tokens: most tokens read of a prompt.
        pieces: word pieces that are kept, those that stand in most of these prompts; 0 keeps all.

    Raises:
        InputError: an option out of range, or a base that cannot be read.
        DataError: outcomes that cannot be fitted on, or fewer than ten groups.
        MissingExtraError: torch or onnx is not installed.
    """
    if encoder != DEFAULT:
        raise InputError("encoder", encoder, "bert reads text itself: leave it out")
    _check_options(epochs=epochs, batch=batch, rate=rate)
    model, origin = _base(base)
    model = model.first_layers(layers).shortened(tokens)
    notes = check_table(table)
    groups = near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])
    if len(np.unique(groups)) < PARTS:
        raise DataError(
            "groups", len(np.unique(groups)), f"give at least {PARTS} groups of prompts"
        )
    part = group_folds(groups, PARTS, seed=seed)
    fit, stop, held = part >= 3, part == 2, part < 2
    read = [plain(prompt) for prompt in table.prompts]
    if pieces:
        model = prune_vocabulary(model, (read[i] for i in np.flatnonzero(fit)), pieces)
    texts = Texts.of(read, model.tokenizer, tokens)
    plan = Plan(epochs=epochs, rate=rate, batch=batch, seed=seed)
    recipe = {**asdict(plan), "layers": model.shape.layers, "pieces": len(model.weights[WORDS])}
    key = hashlib.sha256(
        json.dumps([recipe, tokens, data_fingerprint(table), _digest(model)]).encode()
    ).hexdigest()[:16]
    made = fit_network(
        model,
        texts,
        table.score,
        groups,
        fit=fit,
        stop=stop,
        plan=plan,
        folder=checkpoint / key if checkpoint else None,
        progress=progress,
    )
    progress("writing the int8 model")
    onnx = build_onnx(made.network.numpy(), model.shape, top="mean")
    # What is calibrated and referenced is what will be served: the int8 model.
    part_held = table.rows(held)
    texts_held = [read[i] for i in np.flatnonzero(held)]
    raw = served_quality(onnx, model.tokenizer, made.term, texts_held, tokens=tokens)
    calibrated = _cross_calibrated(raw, part_held.score, part[held])
    manifest: dict[str, Any] = {
        "router": NAME,
        "turnout": __version__,
        "max_tokens": tokens,
        "columns": {"names": list(table.models)},
        "pair": asdict(fit_pair_rule(calibrated, part_held.score)),
        "data": data_facts(table, groups, source),
        "measured": measure(part_held, calibrated, groups[held], seed=seed),
        "recipe": {"command": f"turnout train {NAME}", "base": origin, **recipe},
        "notes": [
            *table.notes,
            *notes,
            f"fitted on {int(fit.sum())} prompts, stopped by {int(stop.sum())}, calibrated and "
            f"measured on {int(held.sum())} others: whole groups held out once, not fold by fold",
            "a prompt is clipped to 2,000 characters, then to "
            f"{tokens} tokens, keeping head and tail; {texts.cut.mean():.1%} of these prompts were "
            "cut; features count the whole of it",
            _kept(made, epochs),
        ],
    }
    arrays = {
        **{f"features/{k}": a for k, a in made.term.arrays().items()},
        **{f"platt/{k}": a for k, a in Platt.fit(raw, part_held.score).arrays().items()},
        **{
            f"reference/{k}": a
            for k, a in make_reference(part_held, calibrated, seed).arrays().items()
        },
    }
    shown = {"name": origin, "fingerprint": _digest(model)}
    return Fitted(
        name=NAME,
        manifest=manifest,
        arrays=arrays,
        card=render_card({**manifest, "encoder": shown}),
        files={MODEL: onnx, TOKENIZER: model.tokenizer},
    )


def served_quality(
    onnx: bytes, tokenizer: bytes, term: FeatureTerm, texts: Sequence[str], *, tokens: int
) -> Floats:
    """(n, k) quality of texts as it will be served, before calibration."""
    model = TokenModel(onnx, tokenizer, most_tokens=tokens, where="router bert")
    logits = np.stack([model.run(text)[0] for text in texts]) + term.of(texts)
    return np.asarray(sigmoid(logits), dtype=np.float32)


def _kept(made: Fit, epochs: int) -> str:
    losses = ", ".join(f"{loss:.4f}" for loss in made.losses)
    which = f"the network after epoch {made.epochs}" if made.epochs else "the frozen base"
    return (
        f"kept: {which}; held-out loss frozen and after each of {epochs} epochs at most: {losses}"
    )


def _cross_calibrated(raw: Floats, score: Floats, part: NDArray[np.intp]) -> Floats:
    """Each of the two held-out parts calibrated by the other, so that measures are not flattered."""
    out = raw.copy()
    for number in np.unique(part):
        inside = part == number
        if not inside.all():
            out[inside] = Platt.fit(raw[~inside], score[~inside]).apply(raw[inside])
    return out


def _check_options(*, epochs: int, batch: int, rate: float) -> None:
    for name, value, least in (("epochs", epochs, 0), ("batch", batch, 1)):
        if value < least:
            raise InputError(f"option {name}", value, f"give at least {least}")
    if not 0.0 < rate < 1.0:
        raise InputError("option rate", rate, "give a number between 0 and 1, such as 5e-5")


def _base(folder: str) -> tuple[Checkpoint, str]:
    """The model to start from, and what a card calls it."""
    if folder:
        return read_checkpoint(Path(folder)), Path(folder).name
    at = shipped(NAME)
    manifest = read_artifact(at)[0]
    files = (read_file(at, manifest, name) for name in (MODEL, TOKENIZER))
    return read_graph(*files, where=f"artifact {at}"), f"shipped {NAME}"


def _digest(model: Checkpoint) -> str:
    digest = hashlib.sha256(model.tokenizer)
    for name in sorted(model.weights):
        digest.update(name.encode() + model.weights[name].tobytes())
    return digest.hexdigest()
