"""Build the int8 ONNX encoder of all-MiniLM-L6-v2, without torch.

    python -m pip install 'turnout[bert]'
    python recipes/build_onnx_encoder.py MODEL_DIR --out encoders/minilm

MODEL_DIR holds all-MiniLM-L6-v2 (Apache-2.0; `model.safetensors` with the SHA-256 below,
`config.json`, `tokenizer.json`). Nothing is downloaded. 128 tokens at most: the model's time grows
with the tokens, and it was itself trained on 128.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from turnout.encoders.onnx import fingerprint
from turnout.encoders.transformer import TokenModel
from turnout.training.checkpoint import Checkpoint, read_checkpoint
from turnout.training.graph import build_onnx

BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENS = 128
LEAST_COSINE = 0.98
"""Quantised per tensor the cosine to 32 bits falls to some 0.95."""
PROBES = (
    "Prove that the sum of two even numbers is even.",
    "Write a function in Rust that parses ISO dates, with tests for leap years.",
    "Which law holds?\nA) Ohm's\nB) Hooke's\nC) both\nD) neither",
    "Translate into French: the meeting was moved to Thursday. " * 12,
)


def main() -> None:
    """Build, compare with 32 bits, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    check_base(args.model)
    base = read_checkpoint(args.model)
    model = build_onnx(base.weights, base.shape, top="tokens")
    cosine = compare(base, model)
    if min(cosine) < LEAST_COSINE:
        raise SystemExit(f"cosine to 32 bits is {min(cosine):.4f}, below {LEAST_COSINE}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(model)
    (args.out / "tokenizer.json").write_bytes(base.tokenizer)
    manifest = {
        "name": "minilm",
        "dimension": int(base.weights["embeddings.word_embeddings.weight"].shape[1]),
        "pooling": "mean",
        "max_tokens": TOKENS,
        "fingerprint": fingerprint(model, base.tokenizer, pooling="mean", max_tokens=TOKENS),
        "cosine_to_32_bits": {"mean": float(np.mean(cosine)), "least": min(cosine)},
        "base": {"model": "all-MiniLM-L6-v2", "licence": "Apache-2.0", "sha256": BASE_SHA256},
        "recipe": "recipes/build_onnx_encoder.py",
    }
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{args.out}: {len(model)} bytes, cosine to 32 bits {min(cosine):.4f} at least")


def check_base(folder: Path, expected: str = BASE_SHA256) -> None:
    """Stop unless a folder's weights are the ones that were checked."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"model.safetensors has SHA-256 {found}, expected {expected}")


def compare(base: Checkpoint, model: bytes) -> list[float]:
    """Cosine of the int8 vector to that of 32 bits, for each probe."""
    plain = build_onnx(base.weights, base.shape, top="tokens", int8=False)
    opened = [
        TokenModel(m, base.tokenizer, most_tokens=TOKENS, where="encoder") for m in (model, plain)
    ]
    found = []
    for text in PROBES:
        a, b = (m.run(text)[0].mean(axis=0) for m in opened)
        found.append(float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
    return found


if __name__ == "__main__":
    main()
