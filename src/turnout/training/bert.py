"""`turnout train bert`: fine-tune a small transformer on outcomes, and write it as int8 ONNX."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.encoders.transformer import TokenModel, read_tokenizer, token_ids
from turnout.errors import DataError, InputError, MissingExtraError
from turnout.routers.arrays import logit, sigmoid
from turnout.routers.bert import MODEL, NAME, TOKENIZER
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.platt import Platt
from turnout.training.card import render_card
from turnout.training.checkpoint import Checkpoint, read_checkpoint
from turnout.training.fit import (
    Fitted,
    Progress,
    check_table,
    data_facts,
    data_fingerprint,
    make_reference,
)
from turnout.training.graph import build_onnx
from turnout.training.measuring import measure
from turnout.types import Floats

if TYPE_CHECKING:
    from turnout.training.bert_network import Network

PARTS = 10
"""Groups are dealt into tenths: two calibrate, one says when to stop, seven are fitted on."""
PATIENCE = 1
"""Epochs without a better held-out loss before it stops."""


def train_bert(
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    base: str = "",
    epochs: int = 3,
    rate: float = 5e-5,
    batch: int = 16,
    layers: int = 4,
    tokens: int = 128,
    checkpoints: str = "",
) -> Fitted:
    """Fine-tune `base` to predict each model's score. See `Trainer`.

    Args:
        table: prompts by models.
        encoder: not used: the base is its own encoder.
        seed: of parts, head and order.
        source: one line for the card.
        progress: told of each epoch.
        base: folder of a BERT-shaped model, Hugging Face's layout in safetensors.
        epochs: at most; it stops earlier when groups held out for it get no better.
        rate: AdamW's learning rate.
        batch: prompts a step.
        layers: first layers of the base that are kept; 0 keeps all. Time is in proportion.
        tokens: most tokens read of a prompt.
        checkpoints: a folder; a run that was killed goes on from its last whole epoch.

    Raises:
        InputError: an option out of range, or a base that cannot be read.
        DataError: outcomes that cannot be fitted on, or fewer than ten groups.
        MissingExtraError: torch or onnx is not installed.
    """
    if encoder != DEFAULT:
        raise InputError("encoder", encoder, "bert reads text itself: give --option base=FOLDER")
    if not base:
        raise InputError("option base", base, "give the folder of a BERT-shaped model")
    _check_options(epochs=epochs, batch=batch, rate=rate)
    model = read_checkpoint(Path(base)).first_layers(layers)
    if not 8 <= tokens <= model.shape.most_tokens:
        raise InputError("option tokens", tokens, f"give 8 to {model.shape.most_tokens}")
    notes = check_table(table)
    groups = near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])
    if len(np.unique(groups)) < PARTS:
        raise DataError(
            "groups", len(np.unique(groups)), f"give at least {PARTS} groups of prompts"
        )
    part = group_folds(groups, PARTS, seed=seed)
    fit, stop, held = part >= 3, part == 2, part < 2
    tokenizer = read_tokenizer(model.tokenizer, base)
    ids = [token_ids(tokenizer, prompt, tokens) for prompt in table.prompts]
    recipe = {"seed": seed, "epochs": epochs, "rate": rate, "batch": batch, "layers": layers}
    key = hashlib.sha256(
        json.dumps([recipe, tokens, data_fingerprint(table), _digest(model)]).encode()
    ).hexdigest()[:16]
    folder = Path(checkpoints) / key if checkpoints else None
    network = _fit(model, [i for i, _ in ids], table.score, fit, stop, recipe, folder, progress)
    progress("writing the int8 model")
    weights, shape = network.numpy(), network.shape
    onnx = build_onnx(weights, shape, top="mean")
    # What is calibrated and referenced is what will be served: the int8 model.
    served = TokenModel(onnx, model.tokenizer, most_tokens=tokens, where="router bert")
    part_held = table.rows(held)
    raw = np.asarray(
        sigmoid(np.stack([served.run(p)[0] for p in part_held.prompts])), dtype=np.float32
    )
    calibrated = _cross_calibrated(raw, part_held.score, part[held])
    cut = float(np.mean([c for _, c in ids]))
    manifest: dict[str, Any] = {
        "router": NAME,
        "turnout": __version__,
        "max_tokens": tokens,
        "columns": {"names": list(table.models)},
        "pair": asdict(fit_pair_rule(calibrated, part_held.score)),
        "data": data_facts(table, groups, source),
        "measured": measure(part_held, calibrated, groups[held], seed=seed),
        "recipe": {"command": f"turnout train {NAME}", **recipe},
        "notes": [
            *table.notes,
            *notes,
            f"fitted on {int(fit.sum())} prompts, stopped by {int(stop.sum())}, calibrated and "
            f"measured on {int(held.sum())} others: whole groups held out once, not fold by fold",
            "a prompt is clipped to 2,000 characters, then to "
            f"{tokens} tokens, keeping head and tail; {cut:.1%} of these prompts were cut",
        ],
    }
    arrays = {
        **{f"platt/{k}": a for k, a in Platt.fit(raw, part_held.score).arrays().items()},
        **{
            f"reference/{k}": a
            for k, a in make_reference(part_held, calibrated, seed).arrays().items()
        },
    }
    shown = {"name": Path(base).name, "fingerprint": _digest(model)}
    return Fitted(
        name=NAME,
        manifest=manifest,
        arrays=arrays,
        card=render_card({**manifest, "encoder": shown}),
        files={MODEL: onnx, TOKENIZER: model.tokenizer},
    )


def _fit(
    model: Checkpoint,
    ids: list[NDArray[np.int64]],
    score: Floats,
    fit: NDArray[np.bool_],
    stop: NDArray[np.bool_],
    recipe: dict[str, Any],
    folder: Path | None,
    progress: Progress,
) -> Network:
    """The network after the epoch whose loss on the `stop` rows was least."""
    try:
        from turnout.training.bert_network import Fit, Network, cross_entropy
    except ImportError as error:
        raise MissingExtraError("training bert", "bert") from error
    import torch

    seed = int(recipe["seed"])
    network = Network.of(model.weights, model.shape, score.shape[1], seed=seed)
    means = np.nan_to_num(np.nanmean(score[fit], axis=0), nan=0.5)
    with torch.no_grad():
        network.weights["head.bias"].copy_(torch.tensor(logit(means), dtype=torch.float32))
    run = Fit(network, rate=recipe["rate"], batch=recipe["batch"], seed=seed)
    rows, late = ([ids[i] for i in np.flatnonzero(part)] for part in (fit, stop))
    best, best_loss, since = network.numpy(), float("inf"), 0
    for number in range(recipe["epochs"]):
        file = folder / f"epoch-{number}.safetensors" if folder else None
        if file is not None and file.is_file():
            run.load(file)
            progress(f"epoch {number + 1}: taken from {file}")
        else:
            loss = run.epoch(number, rows, score[fit])
            progress(f"epoch {number + 1} of {recipe['epochs']}: loss {loss:.4f}")
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                run.save(file)
        held = float(cross_entropy(torch.from_numpy(network.predict(late)), score[stop]))
        progress(f"epoch {number + 1}: held-out loss {held:.4f}")
        since = 0 if held < best_loss else since + 1
        if held < best_loss:
            best, best_loss = network.numpy(), held
        if since > PATIENCE:
            break
    with torch.no_grad():
        for name, value in network.weights.items():
            value.copy_(torch.from_numpy(best[name]))
    return network


def _cross_calibrated(raw: Floats, score: Floats, part: NDArray[np.intp]) -> Floats:
    """Each of the two held-out parts calibrated by the other, so that measures are not flattered."""
    out = raw.copy()
    for number in np.unique(part):
        inside = part == number
        if not inside.all():
            out[inside] = Platt.fit(raw[~inside], score[~inside]).apply(raw[inside])
    return out


def _check_options(*, epochs: int, batch: int, rate: float) -> None:
    for name, value in (("epochs", epochs), ("batch", batch)):
        if value < 1:
            raise InputError(f"option {name}", value, "give at least 1")
    if not 0.0 < rate < 1.0:
        raise InputError("option rate", rate, "give a number between 0 and 1, such as 5e-5")


def _digest(model: Checkpoint) -> str:
    digest = hashlib.sha256(model.tokenizer)
    for name in sorted(model.weights):
        digest.update(name.encode() + model.weights[name].tobytes())
    return digest.hexdigest()
