"""Distil the default encoder: sentence-transformer weights → 256-d int8 token rows.

    python -m pip install 'model2vec[distill]==0.10.0' torch transformers
    python recipes/build_static_encoder.py MODEL_DIR --out src/turnout/encoders/shipped/static-256

MODEL_DIR holds all-MiniLM-L6-v2 (Apache-2.0; `model.safetensors` with the SHA-256 below, tokenizer
and configuration). Nothing is downloaded. The result is deterministic for a given torch build.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from turnout.encoders.static import fingerprint

BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSION = 256


def main() -> None:
    """Distil, quantise and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    base = hashlib.sha256((args.model / "model.safetensors").read_bytes()).hexdigest()
    if base != BASE_SHA256:
        raise SystemExit(f"model.safetensors has SHA-256 {base}, expected {BASE_SHA256}")
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows, tokenizer = distil(args.model)
    write(rows, tokenizer, args.out)


def distil(model: Path) -> tuple[np.ndarray, str]:
    """(v, d) float32 token rows and the tokenizer as JSON."""
    from model2vec.distill import distill_from_model
    from transformers import AutoModel, AutoTokenizer

    static = distill_from_model(
        model=AutoModel.from_pretrained(model),
        tokenizer=AutoTokenizer.from_pretrained(model),
        pca_dims=DIMENSION,
        device="cpu",
    )
    return np.asarray(static.embedding, dtype=np.float32), static.tokenizer.to_str()


def write(rows: np.ndarray, tokenizer: str, out: Path) -> None:
    """Quantise each row to int8 with a scale of its own, and write the folder."""
    from safetensors.numpy import save

    parsed = json.loads(tokenizer)
    parsed["truncation"] = parsed["padding"] = None
    unknown = parsed["model"]["vocab"][parsed["model"]["unk_token"]]
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    quantised = np.round(rows / scale[:, None]).astype(np.int8)
    tokenizer_bytes = json.dumps(parsed, ensure_ascii=False, separators=(",", ":")).encode()
    rows_bytes = save({"rows": quantised, "scale": scale.astype(np.float32)})
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_bytes(tokenizer_bytes)
    (out / "rows.safetensors").write_bytes(rows_bytes)
    manifest = {
        "format": 1,
        "name": f"static-{DIMENSION}",
        "dimension": DIMENSION,
        "unknown_token": unknown,
        "fingerprint": fingerprint(tokenizer_bytes, rows_bytes),
        "base": {"model": "all-MiniLM-L6-v2", "licence": "Apache-2.0", "sha256": BASE_SHA256},
        "recipe": "recipes/build_static_encoder.py",
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{out}: {rows.shape[0]} tokens, {len(tokenizer_bytes) + len(rows_bytes)} bytes")


if __name__ == "__main__":
    main()
