"""Read a BERT-shaped checkpoint folder in the Hugging Face layout: safetensors, never pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.transformer import LEAST_TOKENS, read_tokenizer
from turnout.errors import InputError

Weights = dict[str, NDArray[Any]]
FAMILIES = ("bert", "roberta", "xlm-roberta")
_PREFIXES = ("bert.", "roberta.")
WORDS, POSITIONS = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the forward pass needs beside the weights."""

    layers: int
    heads: int
    epsilon: float
    first_position: int
    """Row of the position table that the first token takes: RoBERTa's start after the padding."""
    most_tokens: int
    """Rows of the position table that are left for tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An encoder's weights by Hugging Face's names, without the family's prefix."""

    shape: Shape
    weights: Weights
    tokenizer: bytes

    def first_layers(self, layers: int) -> Checkpoint:
        """The same with its first layers only; 0 keeps all.

        Raises:
            InputError: more than it has, or fewer than none.
        """
        if not 0 <= layers <= self.shape.layers:
            raise InputError("layers", layers, f"the base has {self.shape.layers}")
        kept = layers or self.shape.layers
        weights = {k: v for k, v in self.weights.items() if _layer(k) < kept}
        return replace(self, shape=replace(self.shape, layers=kept), weights=weights)

    def shortened(self, tokens: int) -> Checkpoint:
        """The same with places for so many tokens and no more, which makes it smaller.

        Raises:
            InputError: more than it has, or fewer than a text takes.
        """
        if not LEAST_TOKENS <= tokens <= self.shape.most_tokens:
            raise InputError("tokens", tokens, f"give {LEAST_TOKENS} to {self.shape.most_tokens}")
        rows = self.weights[POSITIONS][: self.shape.first_position + tokens]
        shape = replace(self.shape, most_tokens=tokens)
        return replace(self, shape=shape, weights={**self.weights, POSITIONS: rows})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read `config.json`, `model.safetensors` and `tokenizer.json`.

    Raises:
        InputError: a file is missing, or the model is not of BERT's or RoBERTa's family.
    """
    config = _config(folder)
    weights = _weights(folder)
    tokenizer = _bytes(folder, "tokenizer.json")
    read_tokenizer(tokenizer, str(folder))
    positions = weights.get(POSITIONS)
    if positions is None or WORDS not in weights:
        raise InputError("checkpoint", str(folder), "it has no embeddings of BERT's names")
    roberta = config["model_type"] != "bert"
    first = int(config.get("pad_token_id", 1)) + 1 if roberta else 0
    shape = Shape(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        first_position=first,
        most_tokens=len(positions) - first,
    )
    found = {_layer(key) for key in weights}
    if not set(range(shape.layers)) <= found:
        raise InputError("checkpoint", str(folder), f"it lacks some of {shape.layers} layers")
    return Checkpoint(shape=shape, weights=weights, tokenizer=tokenizer)


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(_bytes(folder, "config.json"))
        family, act = config["model_type"], config.get("hidden_act", "gelu")
        config["num_hidden_layers"], config["num_attention_heads"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("config.json", str(folder), f"it does not fit ({error!r})") from error
    if family not in FAMILIES:
        raise InputError("model_type", family, f"expected one of {', '.join(FAMILIES)}")
    if act != "gelu":
        raise InputError("hidden_act", act, "expected gelu")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise InputError("position_embedding_type", folder.name, "expected absolute")
    return dict(config)


def _weights(folder: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        raw = load(_bytes(folder, "model.safetensors"))
    except SafetensorError as error:
        raise InputError("model.safetensors", str(folder), f"cannot be read: {error}") from error
    weights: Weights = {}
    for key, value in raw.items():
        plain = key
        for prefix in _PREFIXES:
            plain = plain.removeprefix(prefix)
        if np.issubdtype(value.dtype, np.floating):
            weights[plain] = value.astype(np.float32)
    return weights


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        remedy = f"{name}: {error.strerror}; give a folder with config.json, model.safetensors "
        raise InputError("checkpoint", str(folder), f"{remedy}and tokenizer.json") from error


def _layer(key: str) -> int:
    """Which layer a weight is of; -1 for none."""
    parts = key.split(".")
    return int(parts[2]) if parts[:2] == ["encoder", "layer"] else -1
