"""A BERT-shaped checkpoint of random weights, small enough for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

PIECES = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "easy", "hard", "sum", "proof", "of", "two", "words"]
WIDTH, LAYERS = 16, 2


def tokenizer() -> str:
    numbers = {piece: i for i, piece in enumerate(PIECES)}
    made = Tokenizer(WordPiece(numbers, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return str(made.to_str())


def base(folder: Path, *, family: str = "bert", labels: int | None = None, seed: int = 3) -> Path:
    """A tiny checkpoint of random weights in Hugging Face's layout."""
    rng = np.random.default_rng(seed)
    roberta = family != "bert"
    weights: dict[str, Any] = {}

    def linear(name: str, out: int, width: int) -> None:
        weights[f"{name}.weight"] = rng.normal(0, 0.3, (out, width))
        weights[f"{name}.bias"] = rng.normal(0, 0.1, out)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = rng.normal(1, 0.1, WIDTH)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, WIDTH)

    prefix = "roberta." if roberta else "bert."
    for table, rows in (
        ("word", len(PIECES)),
        ("position", 66),
        ("token_type", 1 if roberta else 2),
    ):
        weights[f"{prefix}embeddings.{table}_embeddings.weight"] = rng.normal(0, 1, (rows, WIDTH))
    norm(f"{prefix}embeddings.LayerNorm")
    for layer in range(LAYERS):
        key = f"{prefix}encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{key}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{key}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{key}.attention.output.LayerNorm")
        linear(f"{key}.intermediate.dense", 2 * WIDTH, WIDTH)
        linear(f"{key}.output.dense", WIDTH, 2 * WIDTH)
        norm(f"{key}.output.LayerNorm")
    if labels is not None:
        linear("classifier.dense" if roberta else "bert.pooler.dense", WIDTH, WIDTH)
        linear("classifier.out_proj" if roberta else "classifier", labels, WIDTH)
    folder.mkdir()
    arrays = {k: np.asarray(v, dtype=np.float32) for k, v in weights.items()}
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": family,
        "architectures": ["X"],
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "vocab_size": len(PIECES),
        "max_position_embeddings": 66,
        "type_vocab_size": 1 if roberta else 2,
        "pad_token_id": 3 if roberta else 0,  # a word that no text here has
        "num_labels": labels or 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer())
    return folder
